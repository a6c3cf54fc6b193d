#include "guest-agent/testing/agent_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "guest-agent/protocol/chunk_stream.h"
#include "guest-agent/protocol/stream_frame.h"
#include "vmm/base/file.h"

namespace hull::agent::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

int Shell(const std::string& command) {
  return std::system(command.c_str());
}

std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char bytes[256];
  while (std::fgets(bytes, sizeof(bytes), pipe) != nullptr) text += bytes;
  ::pclose(pipe);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The directory of this program: hull-agent is beside it, as both are in the build tree.
std::string ProgramDirectory() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof(path) - 1);
  std::string text(path, size > 0 ? static_cast<size_t>(size) : 0);
  return text.substr(0, text.rfind('/'));
}

constexpr std::string_view kLayers = R"sh(
set -e
cd "$1"
mkdir -p low/bin low/etc low/dev low/proc low/sys low/tmp low/root low/home/web top/etc top/data
cp "$(command -v busybox)" low/bin/busybox
chroot low /bin/busybox --install -s /bin
printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/home/web:/bin/sh\n' > low/etc/passwd
printf 'root:x:0:\nwheel:x:10:root,web\nweb:x:1001:\n' > low/etc/group
echo low > low/etc/release; echo low > low/etc/only-low; echo gone > low/etc/removed
echo 'not a program' > low/etc/plain; chmod 644 low/etc/plain
echo top > top/etc/release; mknod top/etc/removed c 0 0
mkfs.erofs --quiet -E noinline_data low.erofs low >&2
mkfs.erofs --quiet -E noinline_data top.erofs top >&2
)sh";

constexpr std::string_view kConfig = R"({
  "ociVersion": "1.0.2",
  "hostname": "tested",
  "process": {"args": %ARGS%, "cwd": "/", "env": ["PATH=/bin", "TERM=xterm"], "user": {"uid": 0, "gid": 0},
    "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"],
      "effective": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"],
      "permitted": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]}},
  "root": {"path": "rootfs"},
  "mounts": [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}
  ],
  "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}]
    %MORE%}
})";

void Replace(std::string* text, std::string_view what, std::string_view with) {
  const size_t at = text->find(what);
  if (at != std::string::npos) text->replace(at, what.size(), with);
}

UniqueFd ConnectUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // SAFETY: the sockets interface takes every kind of address as sockaddr.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return UniqueFd();
  }
  return socket;
}

// The hybrid convention: a line each way, then the connection is the guest's.
UniqueFd ConnectHybrid(const std::string& path, uint32_t port) {
  UniqueFd socket = ConnectUnix(path);
  if (!socket.valid() || !WriteAll(socket.get(), fmt::format("CONNECT {}\n", port)))
    return UniqueFd();
  std::string line;
  char byte = 0;
  while (line.size() < 32 && ::read(socket.get(), &byte, 1) == 1 && byte != '\n') line += byte;
  return line.starts_with("OK ") ? std::move(socket) : UniqueFd();
}

}  // namespace

std::string JsonArray(const std::vector<std::string>& args) {
  return boost::json::serialize(boost::json::array(args.begin(), args.end()));
}

AgentProcess* AgentProcess::Get(std::string* why_not) {
  static std::string reason;
  static AgentProcess* const made = [] {
    auto process = std::make_unique<AgentProcess>();
    const char* vsock = std::getenv("HULL_TEST_VSOCK");
    const char* layers = std::getenv("HULL_TEST_LAYERS");
    if (vsock != nullptr && layers != nullptr) {
      if (Status status = process->UseGuest(vsock, layers); !status)
        reason = status.error().ToString();
    } else if (::geteuid() != 0) {
      reason = "needs root";
    } else if (::access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0) {
      reason = "needs control groups version 2";
    } else if (Status status = process->Make(); !status) {
      reason = "failed: " + status.error().ToString();
    }
    return reason.empty() ? process.release() : nullptr;
  }();
  *why_not = reason;
  return made;
}

UniqueFd AgentProcess::Connect(uint32_t port) const {
  return in_guest() ? ConnectHybrid(vsock_, port)
                    : ConnectUnix(fmt::format("{}/{}", sockets_, port));
}

Status AgentProcess::MakeLayers(const std::string& directory) {
  HULL_TRY(WriteFileAtomically(directory + "/layers.sh", kLayers, 0755));
  if (Shell("sh " + directory + "/layers.sh " + directory) != 0) {
    return Fail(ErrorCode::kFailed, "the layers could not be made");
  }
  return {};
}

Status AgentProcess::UseGuest(const std::string& vsock, const std::string& layers) {
  vsock_ = vsock;
  const size_t comma = layers.find(',');
  if (comma == std::string::npos)
    return Fail(ErrorCode::kInvalidArgument, "HULL_TEST_LAYERS: two devices");
  layers_ = {layers.substr(0, comma), layers.substr(comma + 1)};
  return {};
}

// The guest's own crun, from its root image in this build tree, or else this machine's.
std::string AgentProcess::FindCrun() {
  if (const char* crun = std::getenv("HULL_TEST_CRUN")) return crun;
  const std::string image = ProgramDirectory() + "/../lib/hull/guest.erofs";
  guest_root_ = directory_ + "/guest";
  ::mkdir(guest_root_.c_str(), 0755);
  if (::access(image.c_str(), R_OK) == 0 &&
      Shell("mount -o loop,ro " + image + " " + guest_root_) == 0) {
    return guest_root_ + "/usr/bin/crun";
  }
  guest_root_.clear();
  return "/usr/bin/crun";
}

Status AgentProcess::Make() {
  char name[] = "/run/hull-conformance-XXXXXX";
  if (::mkdtemp(name) == nullptr) return FailErrno("make a directory");
  directory_ = name;
  sockets_ = directory_ + "/s";
  ::mkdir(sockets_.c_str(), 0755);
  HULL_TRY(MakeLayers(directory_));
  for (const char* layer : {"low", "top"}) {
    layers_.push_back(
        Output("losetup --find --show --read-only " + directory_ + "/" + layer + ".erofs"));
    if (!layers_.back().starts_with("/dev/loop")) return Fail(ErrorCode::kFailed, "no loop device");
  }
  const std::string crun = FindCrun();
  pid_ = ::fork();
  if (pid_ == 0) {
    // A mount namespace of its own, so that nothing of the agent's stays mounted.
    ::unshare(CLONE_NEWNS);
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const std::string agent = ProgramDirectory() + "/hull-agent";
    const std::string state = directory_ + "/state";
    const std::string archive = ProgramDirectory() + "/hull-archive";
    ::execl(agent.c_str(), "hull-agent", "--listen-unix", sockets_.c_str(), "--state",
            state.c_str(), "--crun", crun.c_str(), "--archive", archive.c_str(), nullptr);
    ::_exit(127);
  }
  for (int i = 0; i < 500; ++i) {
    if (Connect(kAgentPort).valid()) return {};
    std::this_thread::sleep_for(milliseconds(20));
  }
  return Fail(ErrorCode::kTimedOut, "the agent does not listen");
}

void AgentProcess::Stop() {
  if (in_guest()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  for (const std::string& layer : layers_) Shell("losetup --detach " + layer);
  if (!guest_root_.empty()) Shell("umount " + guest_root_);
  Shell("rm -rf " + directory_);
}

void AgentTest::SetUp() {
  ::signal(SIGPIPE, SIG_IGN);
  std::string why_not;
  agent_ = AgentProcess::Get(&why_not);
  if (agent_ == nullptr) {
    if (why_not.starts_with("needs")) GTEST_SKIP() << why_not;
    FAIL() << why_not;
  }
  UniqueFd socket = agent_->Connect(kAgentPort);
  ASSERT_TRUE(socket.valid()) << "the agent has gone";
  client_ = ttrpc::Client::Create(io_, std::move(socket)).value();
}

void AgentTest::TearDown() {
  if (client_ == nullptr) return;
  for (const std::string& id : made_) {
    [[maybe_unused]] const Status ignored = Delete(id, true);
  }
}

v1::CreateRequest AgentTest::Request(const std::string& id, const std::vector<std::string>& args,
                                     std::string_view more_config) {
  std::string config(kConfig);
  Replace(&config, "%ARGS%", JsonArray(args));
  Replace(&config, "%MORE%", more_config);
  v1::CreateRequest request;
  request.set_container_id(id);
  request.set_oci_config(config);
  for (const std::string& layer : agent_->layers()) {
    v1::Layer* added = request.mutable_rootfs()->add_layers();
    added->set_device(layer);
    added->set_dax(agent_->in_guest());
  }
  request.mutable_rootfs()->mutable_tmpfs();
  request.mutable_stdio()->set_stdin(true);
  request.mutable_stdio()->set_stdout(true);
  request.mutable_stdio()->set_stderr(true);
  return request;
}

Result<v1::CreateResponse> AgentTest::Create(const v1::CreateRequest& request) {
  made_.push_back(request.container_id());
  return Call<v1::CreateResponse>("Create", request);
}

Status AgentTest::Start(const std::string& id) {
  v1::StartRequest request;
  request.set_container_id(id);
  HULL_TRY(Call<v1::StartResponse>("Start", request));
  return {};
}

Result<v1::WaitResponse> AgentTest::Wait(const std::string& id, const std::string& exec_id) {
  v1::WaitRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec_id);
  return Call<v1::WaitResponse>("Wait", request);
}

Status AgentTest::Kill(const std::string& id, uint32_t signal, const std::string& exec_id,
                       bool all) {
  v1::KillRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec_id);
  request.set_signal(signal);
  request.set_all(all);
  HULL_TRY(Call<v1::KillResponse>("Kill", request));
  return {};
}

Status AgentTest::Delete(const std::string& id, bool force, const std::string& exec_id) {
  v1::DeleteRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec_id);
  request.set_force(force);
  HULL_TRY(Call<v1::DeleteResponse>("Delete", request));
  return {};
}

Result<v1::StateResponse> AgentTest::State(const std::string& id) {
  v1::StateRequest request;
  request.set_container_id(id);
  return Call<v1::StateResponse>("State", request);
}

Result<v1::ExecResponse> AgentTest::Exec(const v1::ExecRequest& request) {
  return Call<v1::ExecResponse>("Exec", request);
}

v1::ExecRequest AgentTest::ExecOf(const std::string& id, const std::string& exec_id,
                                  const std::vector<std::string>& args) {
  v1::ExecRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec_id);
  request.set_oci_process("{\"args\":" + JsonArray(args) + "}");
  request.mutable_stdio()->set_stdout(true);
  request.mutable_stdio()->set_stderr(true);
  return request;
}

UniqueFd AgentTest::Open(const std::string& id, const std::string& exec_id,
                         v1::StreamOpen::Kind kind, std::string* error) {
  UniqueFd socket = agent_->Connect(kStreamPort);
  v1::StreamOpen open;
  open.set_container_id(id);
  open.set_exec_id(exec_id);
  open.set_kind(kind);
  v1::StreamOpened opened;
  Status status = SendStreamFrame(socket.get(), open);
  if (status) status = ReceiveStreamFrame(socket.get(), opened);
  const std::string reason = status ? opened.error() : status.error().ToString();
  if (error != nullptr) *error = reason;
  if (reason.empty()) return socket;
  if (error == nullptr) ADD_FAILURE() << "open stream: " << reason;
  return UniqueFd();
}

std::string AgentTest::ReadToEnd(const UniqueFd& fd) {
  return ReadUntil(fd, "");
}

std::string AgentTest::ReadUntil(const UniqueFd& fd, std::string_view wanted) {
  std::string text;
  char bytes[65536];
  const auto deadline = steady_clock::now() + std::chrono::seconds(wanted.empty() ? 30 : 10);
  while (wanted.empty() || text.find(wanted) == std::string::npos) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    pollfd poller{fd.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&poller, 1, static_cast<int>(left.count())) <= 0) {
      return text + "<time is up>";
    }
    const ssize_t size = ::read(fd.get(), bytes, sizeof(bytes));
    if (size <= 0) break;
    text.append(bytes, static_cast<size_t>(size));
  }
  return text;
}

UniqueFd AgentTest::OpenArchive(const std::string& id, const v1::Archive& archive,
                                std::string* error) {
  UniqueFd socket = agent_->Connect(kStreamPort);
  v1::StreamOpen open;
  open.set_container_id(id);
  *open.mutable_archive() = archive;
  v1::StreamOpened opened;
  Status status = SendStreamFrame(socket.get(), open);
  if (status) status = ReceiveStreamFrame(socket.get(), opened);
  const std::string reason = status ? opened.error() : status.error().ToString();
  if (error != nullptr) *error = reason;
  if (reason.empty()) return socket;
  if (error == nullptr) ADD_FAILURE() << "open archive: " << reason;
  return UniqueFd();
}

Received AgentTest::Receive(const std::string& id, const v1::Archive& archive) {
  Received received;
  const UniqueFd socket = OpenArchive(id, archive);
  ChunkReceiver receiver(socket.get());
  for (;;) {
    const auto chunk = receiver.Next();
    if (!chunk) {
      ADD_FAILURE() << chunk.error().ToString();
      return received;
    }
    if (chunk->empty()) break;
    for (const std::byte byte : *chunk) received.data.push_back(static_cast<char>(byte));
  }
  received.end = receiver.end();
  return received;
}

v1::ArchiveEnd AgentTest::Send(const std::string& id, const v1::Archive& archive,
                               std::string_view data) {
  const UniqueFd socket = OpenArchive(id, archive);
  ChunkSender sender(socket.get());
  // The agent's side may give up before it has read all.
  if (sender.Write(std::as_bytes(std::span(data.data(), data.size())))) {
    static_cast<void>(sender.Finish(v1::ArchiveEnd()));
  }
  const auto end = ReceiveArchiveEnd(socket.get());
  if (!end) ADD_FAILURE() << end.error().ToString();
  return end ? *end : v1::ArchiveEnd();
}

Ended AgentTest::Run(const v1::CreateRequest& request, std::string_view input) {
  Ended ended;
  const std::string& id = request.container_id();
  const auto created = Create(request);
  if (!created) {
    ADD_FAILURE() << "create: " << created.error().ToString();
    return ended;
  }
  const bool tty = request.stdio().terminal();
  UniqueFd in = tty ? UniqueFd() : Open(id, "", v1::StreamOpen::STDIN);
  const UniqueFd out = Open(id, "", tty ? v1::StreamOpen::TERMINAL : v1::StreamOpen::STDOUT);
  const UniqueFd err = tty ? UniqueFd() : Open(id, "", v1::StreamOpen::STDERR);
  if (Status started = Start(id); !started) ADD_FAILURE() << started.error().ToString();
  std::thread writer([&] {
    if (tty) return;
    [[maybe_unused]] const Status ignored = WriteAll(in.get(), input);
    ::shutdown(in.get(), SHUT_WR);
  });
  ended.out = ReadToEnd(out);
  if (!tty) ended.err = ReadToEnd(err);
  writer.join();
  const auto exit = Wait(id);
  if (exit) {
    ended.exit = *exit;
  } else {
    ADD_FAILURE() << "wait: " << exit.error().ToString();
  }
  const Status deleted = Delete(id);
  EXPECT_TRUE(deleted.has_value()) << deleted.error().ToString();
  return ended;
}

Ended AgentTest::RunExec(const v1::ExecRequest& request) {
  Ended ended;
  const auto made = Exec(request);
  if (!made) {
    ADD_FAILURE() << "exec: " << made.error().ToString();
    return ended;
  }
  const std::string& id = request.container_id();
  if (request.stdio().stdout()) {
    ended.out = ReadToEnd(Open(id, request.exec_id(), v1::StreamOpen::STDOUT));
  }
  if (request.stdio().stderr()) {
    ended.err = ReadToEnd(Open(id, request.exec_id(), v1::StreamOpen::STDERR));
  }
  const auto exit = Wait(id, request.exec_id());
  if (exit) {
    ended.exit = *exit;
  } else {
    ADD_FAILURE() << "wait: " << exit.error().ToString();
  }
  const Status deleted = Delete(id, false, request.exec_id());
  EXPECT_TRUE(deleted.has_value());
  return ended;
}

void AgentTest::Sleeper(const std::string& id, std::string_view more_config) {
  const auto created = Create(Request(id, {"sleep", "1000"}, more_config));
  ASSERT_TRUE(created.has_value()) << created.error().ToString();
  ASSERT_TRUE(Start(id).has_value());
}

}  // namespace hull::agent::testing
