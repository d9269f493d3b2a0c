// SPDX-License-Identifier: Apache-2.0

// Stream asks a kubelet, without an API server, what kubectl asks for through one:
//
//	stream exec|attach [-i] POD CONTAINER [COMMAND...]
//	stream port-forward POD PORT:PORT
//
// for pods of the namespace "default". It ends with the command's exit code.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// The kubelet signs its certificate itself.
var config = &rest.Config{Host: "https://127.0.0.1:10250", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}

func place(path string, query url.Values) *url.URL {
	return &url.URL{Scheme: "https", Host: "127.0.0.1:10250", Path: path, RawQuery: query.Encode()}
}

func run(verb string, words []string) error {
	input := len(words) > 0 && words[0] == "-i"
	if input {
		words = words[1:]
	}
	if len(words) < 2 {
		return errors.New("usage: stream exec|attach [-i] POD CONTAINER [COMMAND...]")
	}
	query := url.Values{"command": words[2:], "output": {"1"}, "error": {"1"}}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Stderr: os.Stderr}
	if input {
		query.Set("input", "1")
		options.Stdin = os.Stdin
	}
	executor, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, place("/"+verb+"/default/"+words[0]+"/"+words[1], query))
	if err != nil {
		return err
	}
	return executor.StreamWithContext(context.Background(), options)
}

func forward(words []string) error {
	if len(words) != 2 {
		return errors.New("usage: stream port-forward POD PORT:PORT")
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return err
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, place("/portForward/default/"+words[0], nil))
	forwarder, err := portforward.New(dialer, words[1:], nil, nil, os.Stdout, os.Stderr)
	if err != nil {
		return err
	}
	return forwarder.ForwardPorts()
}

func main() {
	err := errors.New("usage: stream exec|attach|port-forward ...")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "exec", "attach":
			err = run(os.Args[1], os.Args[2:])
		case "port-forward":
			err = forward(os.Args[2:])
		}
	}
	var code exec.CodeExitError
	if errors.As(err, &code) {
		os.Exit(code.Code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(255)
	}
}
