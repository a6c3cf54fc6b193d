// Stands in for hull-vmm, guest and agent together: speaks the contracts of all three
// (configuration and status, the hybrid vsock, ttrpc), and runs a container's command as an
// ordinary process of this host, further ones of `hull exec` beside it. So all of the host's side
// can be tested without KVM. Named by HULL_VMM.
// FAKE_FILES, a directory, stands for the root file systems of all containers: their processes
// begin there, and archives are of it (fake_archive.h). FAKE_VMM says what goes wrong:
//   (nothing)        nothing
//   start            the machine could not be made
//   die              dies without a word, before anything
//   silent           starts and never dials
//   garbage          dials, then sends what is no ttrpc
//   panic-boot       panics instead of dialling
//   panic-create     panics when asked to create
//   panic-run        panics a moment after the start
//   no-streams       refuses every stream
//   missing-command  create says that there is no such command
//   kill-self        dies by SIGKILL a moment after the start
//   deaf             once the container runs, answers no call but the first Wait
//   stubborn         signals but SIGKILL do not reach the container
//   pinning          says three times how far the pinning of memory is, and takes a while for it
//   no-driver        the guest has no driver for any passed-through device
//   device-error     a passed-through device fails a moment after the start
// The container's processes find the run directory in FAKE_RUN: vm.json in it; `created`, what was
// asked of the agent, a word and its values a line; and `host-files`, the partition of that name,
// as a machine would have it that has opened it.
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/agent_service.h"
#include "guest-agent/protocol/server.h"
#include "guest-agent/protocol/stream_frame.h"
#include "tests/fakes/vmm/fake_archive.h"
#include "vmm/api/outcome.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/check.h"
#include "vmm/base/file.h"

namespace hull::fakes {
namespace {

namespace v1 = agent::v1;
using Strings = std::vector<std::string>;

constexpr char kVsock[] = "vsock.sock";
constexpr int kMoment = 300'000;  // microseconds

int status_fd = -1;

void Say(const std::string& line) {
  static_cast<void>(WriteAll(status_fd, line));
}

[[noreturn]] void End(api::Cause cause, const std::string& message) {
  Say(api::EndedLine({cause, message, "first words\nlast words \x1b[31m\n"}));
  _exit(api::ExitCode(cause));
}
[[noreturn]] void Panic() {
  End(api::Cause::kPanic, "the fake panicked");
}

sockaddr_un Address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  HULL_CHECK(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}
const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

UniqueFd Socket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  HULL_CHECK(fd.valid());
  return fd;
}

UniqueFd Dial(uint32_t port) {
  UniqueFd fd = Socket();
  const sockaddr_un address = Address(fmt::format("{}_{}", kVsock, port));
  HULL_CHECK(connect(fd.get(), Generic(address), sizeof address) == 0);
  return fd;
}

// The fake's file system.
std::string Files() {
  const char* set = std::getenv("FAKE_FILES");
  return set == nullptr ? "." : set;
}

// A command that is there, by its path or in PATH.
bool IsCommand(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0;
  std::istringstream directories(std::getenv("PATH"));
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (access((directory + "/" + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

// A container's first process or a further one: a process here, its streams as pipes.
class Process {
 public:
  // `process`: OCI's process object.
  void Create(const boost::json::object& process, const v1::Stdio& stdio) {
    arguments_ = boost::json::value_to<Strings>(process.at("args"));
    if (const boost::json::value* set = process.if_contains("env")) {
      environment_ = boost::json::value_to<Strings>(*set);
    }
    for (size_t i = 0; i < pipes_.size(); ++i) {
      std::array<int, 2> fds{};
      HULL_CHECK(pipe2(fds.data(), O_CLOEXEC) == 0);
      pipes_[i] = {UniqueFd(fds[0]), UniqueFd(fds[1])};
    }
    if (!stdio.stdin()) pipes_[0].write.Reset();
    terminal_ = stdio.terminal();
  }
  const std::string& command() const { return arguments_.front(); }

  void Start() {
    if (terminal_) {
      pid_ = forkpty(&master_, nullptr, nullptr, nullptr);
    } else {
      pid_ = fork();
    }
    if (pid_ == 0) {
      // As the virtual machine's end is its containers'.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (!terminal_) {
        dup2(pipes_[0].read.get(), 0);
        dup2(pipes_[1].write.get(), 1);
        dup2(pipes_[2].write.get(), 2);
      }
      if (chdir(Files().c_str()) != 0) _exit(126);
      signal(SIGPIPE, SIG_DFL);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      for (std::string& setting : environment_) putenv(setting.data());
      std::vector<char*> words;
      for (std::string& word : arguments_) words.push_back(word.data());
      words.push_back(nullptr);
      execvp(words[0], words.data());
      _exit(127);
    }
    pipes_[0].read.Reset();
    pipes_[1].write.Reset();
    pipes_[2].write.Reset();
    terminal_ready_.set_value();
  }

  v1::WaitResponse Wait() const {
    int status = 0;
    waitpid(pid_, &status, 0);
    v1::WaitResponse response;
    const int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    response.set_signal(static_cast<uint32_t>(number));
    response.set_exit_code(static_cast<uint32_t>(number != 0 ? 128 + number : WEXITSTATUS(status)));
    return response;
  }

  void Kill(int number) const { kill(pid_, number); }

  // Copies between a stream's connection and its pipe until either ends.
  void Serve(UniqueFd socket, v1::StreamOpen::Kind kind) {
    if (kind == v1::StreamOpen::TERMINAL) return ServeTerminal(std::move(socket));
    const bool input = kind == v1::StreamOpen::STDIN;
    Pipe& pipe = pipes_[static_cast<size_t>(kind)];
    const UniqueFd end = std::move(input ? pipe.write : pipe.read);
    const int from = input ? socket.get() : end.get();
    const int to = input ? end.get() : socket.get();
    std::array<char, 65536> chunk{};
    while (true) {
      const ssize_t got = read(from, chunk.data(), chunk.size());
      if (got <= 0 || !WriteAll(to, std::string_view(chunk.data(), static_cast<size_t>(got))))
        return;
    }
  }

  void ServeTerminal(UniqueFd socket) {
    terminal_ready_.get_future().wait();
    std::thread([fd = socket.get(), this] { Copy(fd, master_); }).detach();
    Copy(master_, socket.get());
    shutdown(socket.get(), SHUT_RDWR);
    // The other thread still has it.
    [[maybe_unused]] const int left_open = socket.Release();
  }

 private:
  static void Copy(int from, int to) {
    std::array<char, 4096> chunk{};
    while (true) {
      const ssize_t got = read(from, chunk.data(), chunk.size());
      if (got <= 0 || !WriteAll(to, std::string_view(chunk.data(), static_cast<size_t>(got))))
        return;
    }
  }

  struct Pipe {
    UniqueFd read;
    UniqueFd write;
  };

  Strings arguments_;
  Strings environment_;
  std::array<Pipe, 3> pipes_;
  bool terminal_ = false;
  int master_ = -1;
  std::promise<void> terminal_ready_;
  pid_t pid_ = -1;
};

class Guest {
 public:
  explicit Guest(std::string fault) : fault_(std::move(fault)), server_(io_) {
    Answer<v1::ConnectRequest, v1::ConnectResponse>("Connect", [](const auto&) {
      v1::ConnectResponse response;
      response.set_protocol_version(agent::kProtocolVersion);
      return Result<v1::ConnectResponse>(response);
    });
    Answer<v1::CreateRequest, v1::CreateResponse>(
        "Create", [this](const v1::CreateRequest& request) { return Create(request); });
    Answer<v1::StartRequest, v1::StartResponse>("Start", [this](const auto&) {
      Find("")->Start();
      if (fault_ == "panic-run")
        std::thread([] {
          usleep(kMoment);
          Panic();
        }).detach();
      if (fault_ == "device-error")
        std::thread([] {
          usleep(kMoment);
          End(api::Cause::kError, "device 0000:01:00.0 reported a fatal error");
        }).detach();
      if (fault_ == "kill-self")
        std::thread([] {
          usleep(kMoment);
          raise(SIGKILL);
        }).detach();
      started_ = true;
      if (waiting_) AwaitExit("", std::move(*waiting_));
      return Result<v1::StartResponse>(v1::StartResponse());
    });
    Answer<v1::KillRequest, v1::KillResponse>("Kill", [this](const v1::KillRequest& request) {
      if (fault_ != "stubborn" || request.signal() == SIGKILL) {
        Find(request.exec_id())->Kill(static_cast<int>(request.signal()));
      }
      return Result<v1::KillResponse>(v1::KillResponse());
    });
    Answer<v1::PauseRequest, v1::PauseResponse>("Pause", [this](const auto&) {
      Find("")->Kill(SIGSTOP);
      return Result<v1::PauseResponse>(v1::PauseResponse());
    });
    Answer<v1::ResumeRequest, v1::ResumeResponse>("Resume", [this](const auto&) {
      Find("")->Kill(SIGCONT);
      return Result<v1::ResumeResponse>(v1::ResumeResponse());
    });
    Answer<v1::ShutdownRequest, v1::ShutdownResponse>("Shutdown", [this](const auto&) {
      boost::asio::post(io_, [] { End(api::Cause::kPowerOff, ""); });
      return Result<v1::ShutdownResponse>(v1::ShutdownResponse());
    });
    server_.Handle<v1::WaitRequest, v1::WaitResponse>(
        agent::kServiceName, "Wait",
        [this](const v1::WaitRequest& request, ttrpc::Reply<v1::WaitResponse> reply) {
          if (request.exec_id().empty() && !started_) {
            waiting_.emplace(std::move(reply));
          } else {
            AwaitExit(request.exec_id(), std::move(reply));
          }
        });
    Answer<v1::ExecRequest, v1::ExecResponse>(
        "Exec", [this](const v1::ExecRequest& request) { return Exec(request); });
    Answer<v1::ResizeRequest, v1::ResizeResponse>(
        "Resize", [](const auto&) { return Result<v1::ResizeResponse>(v1::ResizeResponse()); });
    // Of a process; its streams may still be read.
    Answer<v1::DeleteRequest, v1::DeleteResponse>(
        "Delete", [](const auto&) { return Result<v1::DeleteResponse>(v1::DeleteResponse()); });
    Answer<v1::StatRequest, v1::StatResponse>("Stat", [](const v1::StatRequest& request) {
      return StatFile(Files(), request.path(), request.follow_link());
    });
  }

  void Run() {
    Listen();
    HULL_CHECK(server_.Serve(Dial(agent::kAgentPort)).has_value());
    const boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work(
        io_.get_executor());
    io_.run();
  }

 private:
  template <typename Request, typename Response>
  void Answer(std::string_view method, std::function<Result<Response>(const Request&)> handler) {
    server_.Handle<Request, Response>(
        agent::kServiceName, method,
        [this, handler](const Request& request, const ttrpc::Reply<Response>& reply) {
          if (fault_ == "deaf" && started_) return unanswered_.push_back([reply] {});
          reply(handler(request));
        });
  }

  Result<v1::CreateResponse> Create(const v1::CreateRequest& request) {
    if (fault_ == "panic-create") Panic();
    if (fault_ == "missing-command") {
      return Fail(ErrorCode::kNotFound, "exec: \"x\x1b\": executable file not found in $PATH");
    }
    if (request.mount_only()) return v1::CreateResponse();
    const boost::json::value config = boost::json::parse(request.oci_config());
    Add("")->Create(config.at("process").as_object(), request.stdio());
    WriteDown(request, config);
    v1::CreateResponse response;
    for (const v1::PassedDevice& device : request.devices()) {
      v1::DeviceReport* report = response.add_devices();
      report->set_address(device.address());
      if (fault_ == "no-driver") continue;
      report->set_driver("fake\x1b");
      report->add_nodes("/dev/fake0");
      report->add_interfaces("eth0");
    }
    return response;
  }

  static void WriteDown(const v1::CreateRequest& request, const boost::json::value& config) {
    std::string text;
    for (const auto& layer : request.rootfs().layers()) text += "layer " + layer.device() + "\n";
    for (const auto& device : request.devices()) text += "device " + device.address() + "\n";
    for (const auto& module : request.modules()) text += "module " + module + "\n";
    for (const auto& group : request.additional_groups()) text += "group " + group + "\n";
    for (const auto& attachment : request.attachments()) {
      text += fmt::format("attachment {} {}\n", attachment.name(), attachment.layer().device());
    }
    for (const auto& mount : config.at("mounts").as_array()) {
      if (mount.at("type") != "bind") continue;
      text += "bind " + boost::json::serialize(mount) + "\n";
    }
    HULL_CHECK(WriteFileAtomically("created", text, 0600).has_value());
  }

  Result<v1::ExecResponse> Exec(const v1::ExecRequest& request) {
    const boost::json::value process = boost::json::parse(request.oci_process());
    Process* const added = Add(request.exec_id());
    added->Create(process.as_object(), request.stdio());
    if (!IsCommand(added->command())) {
      return Fail(ErrorCode::kNotFound, "exec: \"{}\": executable file not found in $PATH",
                  added->command());
    }
    added->Start();
    return v1::ExecResponse();
  }

  // Processes stay: threads are at them.
  Process* Add(const std::string& exec_id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return &processes_[exec_id];
  }
  Process* Find(const std::string& exec_id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = processes_.find(exec_id);
    HULL_CHECK(found != processes_.end());
    return &found->second;
  }

  void AwaitExit(const std::string& exec_id, ttrpc::Reply<v1::WaitResponse> reply) {
    std::thread([this, process = Find(exec_id), reply = std::move(reply)] {
      const v1::WaitResponse response = process->Wait();
      boost::asio::post(io_, [reply, response] { reply(response); });
    }).detach();
  }

  void Listen() {
    UniqueFd listener = Socket();
    const sockaddr_un address = Address(kVsock);
    HULL_CHECK(bind(listener.get(), Generic(address), sizeof address) == 0);
    HULL_CHECK(listen(listener.get(), 8) == 0);
    std::thread([this, fd = listener.Release()] {
      while (true) {
        UniqueFd accepted(accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (accepted.valid())
          std::thread([this, a = accepted.Release()] { Stream(UniqueFd(a)); }).detach();
      }
    }).detach();
  }

  void Stream(UniqueFd socket) {
    // "CONNECT 1025"
    std::string asked;
    char next = 0;
    while (read(socket.get(), &next, 1) == 1 && next != '\n') asked += next;
    static_cast<void>(WriteAll(socket.get(), "OK 1073741824\n"));
    if (asked == fmt::format("CONNECT {}", agent::kAgentPort)) {
      boost::asio::post(
          io_, [this, fd = socket.Release()] { static_cast<void>(server_.Serve(UniqueFd(fd))); });
      return;
    }
    v1::StreamOpen open;
    if (!agent::ReceiveStreamFrame(socket.get(), open)) return;
    v1::StreamOpened opened;
    if (fault_ == "no-streams") opened.set_error("no streams today");
    static_cast<void>(agent::SendStreamFrame(socket.get(), opened));
    if (!opened.error().empty()) return;
    if (open.has_archive()) return ServeArchive(socket.get(), Files(), open.archive());
    Find(open.exec_id())->Serve(std::move(socket), open.kind());
  }

  std::string fault_;
  boost::asio::io_context io_;
  ttrpc::Server server_;
  std::mutex mutex_;
  std::map<std::string, Process> processes_;  // by exec id; the container's own: ""
  bool started_ = false;
  std::vector<std::function<void()>> unanswered_;
  std::optional<ttrpc::Reply<v1::WaitResponse>> waiting_;
};

int Main(int argc, char** argv) {
  if (argc != 5 || std::strcmp(argv[1], "--config") != 0 ||
      std::strcmp(argv[3], "--status-fd") != 0)
    return 24;
  signal(SIGPIPE, SIG_IGN);
  status_fd = std::atoi(argv[4]);
  // A container's process that had it would keep the machine alive in the reader's eyes.
  fcntl(status_fd, F_SETFD, FD_CLOEXEC);
  const char* set = std::getenv("FAKE_VMM");
  const std::string fault = set == nullptr ? "" : set;
  const Result<std::string> text = ReadFile(argv[2], api::kMaxConfigBytes);
  const Result<api::VmConfig> config =
      text ? api::ParseVmConfig(*text) : Result<api::VmConfig>(Fail(text.error()));
  if (!config) End(api::Cause::kStart, config.error().ToString());
  setenv("FAKE_RUN", std::filesystem::current_path().c_str(), 1);
  for (const api::BlockConfig& disk : config->block) {
    for (const api::PartitionConfig& part : disk.partitions) {
      if (part.name == "host-files") HULL_CHECK(link(part.path.c_str(), "host-files") == 0);
    }
  }
  if (fault == "start") End(api::Cause::kStart, "no machine: cannot open /dev/kvm");
  if (fault == "die") {
    static_cast<void>(WriteAll(STDERR_FILENO, "fake: about to die\n"));
    return 9;
  }
  for (uint64_t i = 1; fault == "pinning" && i <= 3; ++i) {
    Say(api::PinningLine({.done_bytes = i << 30U, .total_bytes = uint64_t{4} << 30U}));
    usleep(kMoment);
  }
  Say(api::StartedLine());
  if (fault == "panic-boot") Panic();
  if (fault == "garbage") {
    const UniqueFd fd = Dial(agent::kAgentPort);
    static_cast<void>(WriteAll(fd.get(), std::string(1000, '\xff')));
    pause();
  }
  if (fault == "silent") pause();
  Guest(fault).Run();
  return 0;
}

}  // namespace
}  // namespace hull::fakes

int main(int argc, char** argv) {
  return hull::fakes::Main(argc, argv);
}
