// SPDX-License-Identifier: Apache-2.0

// Package tig stands in for a package of nerdctl's own tests that is not published as a module. One file of those that
// nerdctl is built of, pkg/testutil/compose.go, names this interface; nothing that runs uses it.
package tig

// T is what that file asks of a test.
type T interface {
	Log(args ...any)
	FailNow()
}
