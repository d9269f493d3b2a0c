// SPDX-License-Identifier: Apache-2.0

// Critest is the validation suite of cri-tools as a program of its own. There it is a test, which the Go client
// builds only for a module that it stands in.
package main

import (
	"flag"
	"os"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"sigs.k8s.io/cri-tools/pkg/framework"
	_ "sigs.k8s.io/cri-tools/pkg/validate"
)

// failure is what ginkgo wants of a test: to be told. The result of RunSpecs says the same.
type failure struct{}

func (failure) Fail() {}

func main() {
	framework.RegisterFlags()
	flag.Parse()
	gomega.RegisterFailHandler(ginkgo.Fail)
	if !ginkgo.RunSpecs(failure{}, "CRI validation") {
		os.Exit(1)
	}
}
