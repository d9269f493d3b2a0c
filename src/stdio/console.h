// SPDX-License-Identifier: Apache-2.0
// Terminals of containers. The runtime makes the pseudo terminal inside the container and sends its
// master side over a unix socket that we listen on (runc docs/terminals.md, "detached new
// terminal").
#pragma once

#include <string>

#include "async/loop.h"
#include "base/fd.h"

namespace thinshim {

// The socket on which the runtime hands the terminal over. It lies in the bundle, which nobody but
// its owner may enter. Where its path is longer than the 107 bytes of a socket address, as the
// paths of pods are, it is reached through /proc/PID/fd, into which not every runtime may look
// (oci/call_file.h).
class ConsoleSocket {
 public:
  // Throws Error "failed to create OCI runtime console socket: ...".
  ConsoleSocket(Loop& loop, const std::string& bundle);
  ~ConsoleSocket();
  ConsoleSocket(const ConsoleSocket&) = delete;
  ConsoleSocket& operator=(const ConsoleSocket&) = delete;

  // For the runtime's --console-socket.
  const std::string& path() const { return path_; }
  // The terminal's master side. Throws Error where none arrives in `limit`.
  Task<Fd> receive(Duration limit);

 private:
  Task<Fd> accept_and_receive();

  Loop& loop_;
  Fd directory_;  // where the path leads through it
  std::string path_;
  Fd listener_;
};

// Window size in characters. Throws Error.
void resize_terminal(int master, unsigned width, unsigned height);

// Another descriptor of the terminal's far side. As long as it is open, reading the master never
// meets EIO only because the process has closed its own (systemd does, to open its console anew).
Fd open_terminal_peer(int master);

// The bytes that end the input of whoever reads the terminal: its end-of-file character, once to
// hand over an unfinished line and once more for the end itself (termios(3), VEOF). None in raw
// mode, where no byte means that.
std::string end_of_input(int master);

}  // namespace thinshim
