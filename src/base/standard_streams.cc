// SPDX-License-Identifier: Apache-2.0
// Disables the initialisation of std::cin, std::cout and the other standard streams. Every file
// that includes <iostream>, as some of yaml-cpp do, runs the constructor below before main()
// (ios_base::Init, [ios::Init] of the C++ standard). It takes as long as the rest of the static
// initialisation and dirties 12 kB. The linker replaces it by these functions (--wrap, in
// meson.build). The shim never uses those streams (scripts/check verifies that); string streams do
// not need them.
#include <ios>

extern "C" {
void __wrap__ZNSt8ios_base4InitC1Ev(std::ios_base::Init*);
void __wrap__ZNSt8ios_base4InitD1Ev(std::ios_base::Init*);
}

void __wrap__ZNSt8ios_base4InitC1Ev(std::ios_base::Init*) {}
void __wrap__ZNSt8ios_base4InitD1Ev(std::ios_base::Init*) {}
