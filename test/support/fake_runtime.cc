// SPDX-License-Identifier: Apache-2.0
#include "support/fake_runtime.h"

#include <sys/stat.h>

#include <fstream>
#include <stdexcept>

namespace thinshim::test {
namespace {

// A new process is an orphan immediately, because its parent shell becomes echo and exits. (A shell
// that exits by itself first reaps its dead children, and their exits would be lost.) It has no
// other descriptors than 0 to 2 and, before a container's start, 9.
constexpr const char* kScript = R"script(
hook() { if [ -e "$base/$1" ]; then . "$base/$1"; fi; }
fail() {
  [ -z "$log" ] || printf '{"level":"error","msg":"%s","time":"2026-01-01T00:00:00Z"}\n' "$1" >> "$log"
  exit 1
}
alive() { [ -e "/proc/$1/stat" ] && read -r _ _ mode _ < "/proc/$1/stat" && [ "$mode" != Z ]; }
launch() {
  pid=$( { sh -c "$1" <&7 >&8 2>&6 3>&- 4>&- 6>&- 7>&- 8>&- & exec echo $!; } )
  echo "$pid" >> "$state/pids"
}
kill_all() { while read -r member; do ! alive "$member" || kill "-$1" "$member"; done < "$state/pids"; }
must_exist() { [ -d "$state" ] || fail "container does not exist"; read -r init < "$state/pids"; }

while :; do
  case $1 in
    --root) root=$2; shift 2 ;;
    --log) log=$2; shift 2 ;;
    --log-format) shift 2 ;;
    --systemd-cgroup) shift ;;
    *) break ;;
  esac
done
verb=$1
shift
arguments=$*
while :; do
  case $1 in
    --bundle) bundle=$2; shift 2 ;;
    --pid-file) pid_file=$2; shift 2 ;;
    --process) process=$2; shift 2 ;;
    --console-socket | --resources | --parent-path | --manage-cgroups-mode | --empty-ns) shift 2 ;;
    --image-path) image=$2; shift 2 ;;
    --work-path) work=$2; shift 2 ;;
    --leave-running) leave_running=yes; shift ;;
    --tcp-established | --ext-unix-sk | --shell-job | --file-locks | --no-subreaper) shift ;;
    --all) all="--all "; shift ;;
    --force) force="--force "; shift ;;
    --detach | --no-pivot | --no-new-keyring) shift ;;
    *) break ;;
  esac
done
id=$1
signal=$2
case $0 in *runsc) state="$root/${id}_sandbox:$id.state" ;; *) state=$root/$id ;; esac
echo "$verb $force$all$id${signal:+ $signal}" >> "$base/calls"
exec 6>&2 7<&0 8>&1

hook "before-$verb"
case $verb in
  create)
    [ ! -e "$state" ] || fail "container with given ID already exists"
    code="exec sleep 60"
    hook "program-$id"
    mkdir -p "$state"
    echo "$bundle" > "$state/bundle"
    mkfifo "$state/start"
    exec 9<> "$state/start"
    launch "read -r _ <&9; exec 9>&-; $code"
    touch "$state/created"
    printf %s "${pid_text-$pid}" > "$pid_file"
    ;;
  start)
    must_exist
    alive "$init" || fail "cannot start a container that has stopped"
    [ -e "$state/created" ] || fail "cannot start an already running container"
    rm "$state/created"
    exec 9<> "$state/start"
    echo >&9
    ;;
  exec)
    must_exist
    alive "$init" || fail "cannot exec in a stopped container"
    code=$(sed -n 's/.*"args":\["\([^"]*\)".*/\1/p' "$process")
    hook program-exec
    launch "$code"
    printf %s "${pid_text-$pid}" > "$pid_file"
    ;;
  pause)
    must_exist
    kill_all STOP
    ;;
  resume)
    must_exist
    kill_all CONT
    ;;
  update)
    must_exist
    cat > "$base/resources"
    ;;
  checkpoint)
    must_exist
    echo "$arguments" > "$base/checkpoint"
    mkdir -p "$work" "$image"
    echo "what criu says" > "$work/dump.log"
    hook within-checkpoint
    if [ -z "$leave_running" ]; then
      kill_all 9
      rm -r "$state"
    fi
    ;;
  restore)
    [ -d "$image" ] || fail "no such image"
    echo "$arguments" > "$base/restore"
    mkdir -p "$state" "$work"
    code="exec sleep 60"
    hook "program-$id"
    launch "$code"
    printf %s "$pid" > "$pid_file"
    ;;
  kill)
    must_exist
    if [ -n "$all" ]; then
      kill_all "$signal"
    else
      alive "$init" || fail "container not running"
      kill "-$signal" "$init" || exit 1
    fi
    ;;
  state)
    must_exist
    read -r bundle < "$state/bundle"
    status=stopped
    ! alive "$init" || status=running
    [ ! -e "$state/created" ] || status=created
    printf '{"ociVersion":"1.0.2","id":"%s","status":"%s","bundle":"%s"}\n' "$id" "$status" "$bundle"
    ;;
  delete)
    must_exist
    if alive "$init"; then
      [ -n "$force" ] || [ -e "$state/created" ] || fail "cannot delete container $id that is not stopped: running"
      kill_all 9
    fi
    rm -r "$state"
    ;;
  *) fail "no such verb: $verb" ;;
esac
hook "after-$verb"
exit 0
)script";

}  // namespace

FakeRuntime::FakeRuntime() {
  for (const char* name : {"runc", "runsc"})
    write(name, "#!/bin/sh\nbase=" + directory_.path() + kScript, 0755);
}

std::string FakeRuntime::read(const std::string& name) const {
  std::ifstream file(directory_ / name);
  return {std::istreambuf_iterator<char>(file), {}};
}

void FakeRuntime::write(const std::string& name, const std::string& text, unsigned mode) const {
  const std::string path = directory_ / name;
  std::ofstream stream(path);
  stream << text;
  stream.close();
  if (!stream || ::chmod(path.c_str(), mode) != 0) throw std::runtime_error("cannot write " + path);
}

void FakeRuntime::set_program(const std::string& id, const std::string& shell) {
  write("program-" + id, "code='" + shell + "'\n");
}

std::vector<std::string> FakeRuntime::calls() const {
  std::vector<std::string> calls;
  std::ifstream file(directory_ / "calls");
  for (std::string line; std::getline(file, line);) calls.push_back(line);
  return calls;
}

bool FakeRuntime::knows(const std::string& containerd_namespace, const std::string& id) const {
  const std::string state = root() + "/" + containerd_namespace + "/" + id;
  return std::filesystem::exists(state) ||
         std::filesystem::exists(state + "_sandbox:" + id + ".state");
}

void FakeRuntime::before(const std::string& verb, const std::string& shell) {
  write("before-" + verb, shell + "\n");
}
void FakeRuntime::after(const std::string& verb, const std::string& shell) {
  write("after-" + verb, shell + "\n");
}

void FakeRuntime::behave() {
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    const std::string name = entry.path().filename().string();
    if (name.rfind("before-", 0) == 0 || name.rfind("after-", 0) == 0)
      std::filesystem::remove(entry.path());
  }
}

std::string FakeRuntime::fail(const std::string& reason) { return "fail '" + reason + "'"; }

std::string FakeRuntime::wait_for(const std::string& gate) const {
  return "while [ ! -e '" + (directory_ / ("gate-" + gate)) + "' ]; do sleep 0.005; done";
}

void FakeRuntime::open(const std::string& gate) const { write("gate-" + gate, ""); }

std::string FakeRuntime::wait_until_dead() { return "while alive $pid; do sleep 0.005; done"; }

}  // namespace thinshim::test
