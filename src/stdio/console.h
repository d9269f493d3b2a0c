// SPDX-License-Identifier: Apache-2.0
// Terminals of containers. The runtime makes the pseudo terminal inside the container and sends its
// master over a unix socket on which the shim listens (runc docs/terminals.md, "detached new
// terminal").
#pragma once

#include <string>

#include "async/loop.h"
#include "base/fd.h"

namespace thinshim {

// The socket over which the runtime sends the terminal. It is in the bundle, which only its owner
// can enter. If its path is longer than the 107 bytes of a socket address, as it is for pods,
// path() leads through /proc/PID/fd, which some runtimes may not access (oci/call_file.h).
class ConsoleSocket {
 public:
  // Throws Error "failed to create OCI runtime console socket: ...".
  ConsoleSocket(Loop& loop, const std::string& bundle);
  ~ConsoleSocket();
  ConsoleSocket(const ConsoleSocket&) = delete;
  ConsoleSocket& operator=(const ConsoleSocket&) = delete;

  // For the runtime's --console-socket.
  const std::string& path() const { return path_; }
  // Receives the terminal's master. Throws Error after `limit`, or if the peer sends no descriptor.
  Task<Fd> receive(Duration limit);

 private:
  Task<Fd> accept_and_receive();

  Loop& loop_;
  Fd directory_;  // the bundle, if path_ leads through /proc/PID/fd
  std::string path_;
  Fd listener_;
};

// Window size in characters. Throws Error.
void resize_terminal(int master, unsigned width, unsigned height);

// Opens the terminal's slave (TIOCGPTPEER). While it is open, read(2) of the master does not fail
// with EIO when the process closes its own descriptors (systemd does, to reopen its console).
// Throws Error.
Fd open_terminal_peer(int master);

// The bytes that signal end of file to the reader of the terminal: the end-of-file character (VEOF,
// termios(3)) twice, once to flush an unfinished line and once for the end. Empty in raw mode,
// which has no such character.
std::string end_of_input(int master);

}  // namespace thinshim
