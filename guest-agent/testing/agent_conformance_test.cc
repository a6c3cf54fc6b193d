// What the agent's protocol promises, against a real hull-agent and a real crun (agent_fixture.h).
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "guest-agent/testing/agent_fixture.h"
#include "vmm/base/file.h"

namespace hull::agent::testing {
namespace {

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 7;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

TEST_F(AgentTest, ConnectTellsVersions) {
  v1::ConnectRequest request;
  request.set_protocol_version(1);
  const auto response = Call<v1::ConnectResponse>("Connect", request).value();
  EXPECT_EQ(response.protocol_version(), 1u);
  EXPECT_NE(response.agent_version(), "");
  EXPECT_NE(response.kernel_release(), "");
  EXPECT_GT(response.ready_ns(), 0);
  RecordProperty("ready_ns", std::to_string(response.ready_ns()));
}

TEST_F(AgentTest, OutputAndExitCodeOfAContainer) {
  const Ended ended = Run(Request("run", {"sh", "-c", "echo out; echo err >&2; exit 42"}));
  EXPECT_EQ(ended.out, "out\n");
  EXPECT_EQ(ended.err, "err\n");
  EXPECT_EQ(ended.exit.exit_code(), 42u);
  EXPECT_EQ(ended.exit.signal(), 0u);
  EXPECT_FALSE(ended.exit.out_of_memory());
  EXPECT_GT(ended.exit.exited_at_ns(), 0);
}

TEST_F(AgentTest, InputOfAnySizeComesBackByteForByte) {
  const std::string text = Pattern(16 << 20);
  const Ended ended = Run(Request("cat", {"cat"}), text);
  EXPECT_TRUE(ended.out == text) << ended.out.size() << " bytes came back";
  EXPECT_EQ(ended.exit.exit_code(), 0u);
}

TEST_F(AgentTest, OutputOfAProcessThatHasGoneIsDeliveredLate) {
  v1::CreateRequest request =
      Request("late", {"sh", "-c", "head -c 60000 /dev/zero | tr '\\0' x; echo end"});
  ASSERT_TRUE(Create(request).has_value());
  ASSERT_TRUE(Start("late").has_value());
  ASSERT_EQ(Wait("late")->exit_code(), 0u);
  const std::string out = ReadToEnd(Open("late", "", v1::StreamOpen::STDOUT));
  EXPECT_EQ(out.size(), 60004u);
  EXPECT_TRUE(out.ends_with("xend\n"));
}

TEST_F(AgentTest, SlowReaderLosesNothing) {
  ASSERT_TRUE(
      Create(Request("slow", {"sh", "-c", "head -c 3000000 /dev/zero; echo end"})).has_value());
  const UniqueFd out = Open("slow", "", v1::StreamOpen::STDOUT);
  ASSERT_TRUE(Start("slow").has_value());
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(State("slow")->status(), v1::StateResponse::RUNNING) << "held up by its reader";
  const std::string text = ReadToEnd(out);
  EXPECT_EQ(text.size(), 3000004u);
  EXPECT_EQ(Wait("slow")->exit_code(), 0u);
}

TEST_F(AgentTest, ExitCodesAreExact) {
  Sleeper("codes");
  for (const int code : {0, 1, 2, 125, 126, 127, 128, 137, 200, 255}) {
    v1::ExecRequest request = ExecOf("codes", "e", {"sh", "-c", "exit " + std::to_string(code)});
    EXPECT_EQ(RunExec(request).exit.exit_code(), static_cast<uint32_t>(code));
  }
}

TEST_F(AgentTest, EveryTerminatingSignalIsReported) {
  Sleeper("signals");
  for (const int signal :
       {SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,  SIGKILL,
        SIGUSR1,   SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ,
        SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSYS,  34,      64}) {
    const std::string id = "s" + std::to_string(signal);
    ASSERT_TRUE(Exec(ExecOf("signals", id, {"sleep", "1000"})).has_value());
    ASSERT_TRUE(Kill("signals", static_cast<uint32_t>(signal), id).has_value());
    const auto exit = Wait("signals", id);
    ASSERT_TRUE(exit.has_value());
    EXPECT_EQ(exit->signal(), static_cast<uint32_t>(signal));
    EXPECT_EQ(exit->exit_code(), static_cast<uint32_t>(128 + signal));
    EXPECT_TRUE(Delete("signals", false, id).has_value());
  }
}

TEST_F(AgentTest, CommandThatDoesNotExistIsNotFound) {
  const auto by_name = Create(Request("nocmd", {"no-such-command"}));
  EXPECT_EQ(by_name.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(by_name.error().message(),
            "exec: \"no-such-command\": executable file not found in $PATH");
  const auto by_path = Create(Request("nocmd", {"/no/such"}));
  EXPECT_EQ(by_path.error().code(), ErrorCode::kNotFound) << "and the id is free again";
  EXPECT_EQ(by_path.error().message(),
            "exec: \"/no/such\": stat /no/such: no such file or directory");
  Sleeper("nocmd2");
  const auto exec = Exec(ExecOf("nocmd2", "e", {"no-such-command"}));
  EXPECT_EQ(exec.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(exec.error().message(),
            "exec: \"no-such-command\": executable file not found in $PATH");
  EXPECT_EQ(RunExec(ExecOf("nocmd2", "e", {"true"})).exit.exit_code(), 0u)
      << "the id is free again";
}

TEST_F(AgentTest, CommandThatCannotBeExecutedIsPermissionDenied) {
  const auto created = Create(Request("plain", {"/etc/plain"}));
  EXPECT_EQ(created.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(created.error().message(), "exec: \"/etc/plain\": permission denied");
  Sleeper("plain2");
  const auto exec = Exec(ExecOf("plain2", "e", {"/etc/plain"}));
  EXPECT_EQ(exec.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(exec.error().message(), "exec: \"/etc/plain\": permission denied");
  v1::ExecRequest silent = ExecOf("plain2", "e", {"/etc/plain"});
  silent.clear_stdio();
  EXPECT_EQ(Exec(silent).error().code(), ErrorCode::kPermissionDenied);
}

TEST_F(AgentTest, LayersAreStackedAndChangesStayInTheContainer) {
  const Ended first = Run(Request(
      "layers", {"sh", "-c",
                 "cat /etc/release /etc/only-low; ls /etc/removed; touch /etc/new; ls /etc/new"}));
  EXPECT_EQ(first.out, "top\nlow\n/etc/new\n");
  EXPECT_EQ(Run(Request("layers", {"sh", "-c", "ls /etc/new"})).exit.exit_code(), 1u);
}

TEST_F(AgentTest, ReadOnlyRootRefusesWrites) {
  v1::CreateRequest request =
      Request("ro", {"sh", "-c", "touch /x; echo a > /etc/hosts; cat /etc/hostname"});
  request.mutable_rootfs()->set_read_only(true);
  const Ended ended = Run(request);
  EXPECT_EQ(ended.out, "tested\n");
  EXPECT_NE(ended.err.find("touch: /x: Read-only file system"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("/etc/hosts: Read-only"), std::string::npos) << ended.err;
  request.mutable_rootfs()->set_read_only(false);
  request.mutable_rootfs()->clear_writable();
  EXPECT_NE(Run(request).err.find("touch: /x: Read-only file system"), std::string::npos);
}

TEST_F(AgentTest, EtcFilesAreDockers) {
  const Ended ended =
      Run(Request("etc", {"sh", "-c",
                          "hostname; cat /etc/hostname; grep -c localhost /etc/hosts; echo x > "
                          "/etc/hosts; wc -c < /etc/resolv.conf"}));
  EXPECT_EQ(ended.out, "tested\ntested\n2\n0\n") << ended.err;
}

TEST_F(AgentTest, UsersAreResolvedInTheContainersFiles) {
  v1::CreateRequest request =
      Request("user", {"sh", "-c", "id; echo $HOME; echo ok > /dev/stdout"});
  request.set_user("web");
  EXPECT_EQ(Run(request).out,
            "uid=1000(web) gid=1001(web) groups=10(wheel),1001(web)\n/home/web\nok\n");
  request.set_user("4242:10");
  request.add_additional_groups("77");
  EXPECT_EQ(Run(request).out, "uid=4242 gid=10(wheel) groups=10(wheel),77\n/\nok\n");
  request.set_user("nobody-here");
  const auto created = Create(request);
  EXPECT_EQ(created.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(created.error().message(),
            "unable to find user nobody-here: no matching entries in passwd file");
}

TEST_F(AgentTest, ExecRunsAsItsUserInTheContainersEnvironment) {
  v1::CreateRequest request = Request("execuser", {"sleep", "1000"});
  request.set_user("web");
  ASSERT_TRUE(Create(request).has_value());
  ASSERT_TRUE(Start("execuser").has_value());
  v1::ExecRequest exec = ExecOf("execuser", "e", {"sh", "-c", "id -u; echo $HOME; hostname; pwd"});
  EXPECT_EQ(RunExec(exec).out, "1000\n/home/web\ntested\n/\n");
  exec.set_user("root");
  EXPECT_EQ(RunExec(exec).out, "0\n/root\ntested\n/\n");
  exec.set_oci_process(
      "{\"args\":[\"sh\",\"-c\",\"echo $A; "
      "pwd\"],\"env\":[\"PATH=/bin\",\"A=b\"],\"cwd\":\"/etc\"}");
  EXPECT_EQ(RunExec(exec).out, "b\n/etc\n");
}

TEST_F(AgentTest, TerminalShowsEchoesAndResizes) {
  v1::CreateRequest request =
      Request("tty", {"sh", "-c", "tty; stty size; read a; stty size; echo got-$a"});
  request.mutable_stdio()->set_terminal(true);
  request.mutable_stdio()->mutable_size()->set_columns(100);
  request.mutable_stdio()->mutable_size()->set_rows(30);
  ASSERT_TRUE(Create(request).has_value());
  const UniqueFd terminal = Open("tty", "", v1::StreamOpen::TERMINAL);
  ASSERT_TRUE(Start("tty").has_value());
  EXPECT_EQ(ReadUntil(terminal, "30 100\r\n"), "/dev/pts/0\r\n30 100\r\n");
  v1::ResizeRequest resize;
  resize.set_container_id("tty");
  resize.mutable_size()->set_columns(120);
  resize.mutable_size()->set_rows(40);
  ASSERT_TRUE(Call<v1::ResizeResponse>("Resize", resize).has_value());
  ASSERT_TRUE(WriteAll(terminal.get(), "hello\n").has_value());
  EXPECT_EQ(ReadToEnd(terminal), "hello\r\n40 120\r\ngot-hello\r\n");
  EXPECT_EQ(Wait("tty")->exit_code(), 0u);
}

TEST_F(AgentTest, TerminalOfAnExecSendsInterrupts) {
  Sleeper("exectty");
  v1::ExecRequest request = ExecOf("exectty", "e", {"sh", "-c", "stty size; echo ready; cat"});
  request.mutable_stdio()->set_terminal(true);
  request.mutable_stdio()->mutable_size()->set_columns(90);
  request.mutable_stdio()->mutable_size()->set_rows(20);
  ASSERT_TRUE(Exec(request).has_value());
  const UniqueFd terminal = Open("exectty", "e", v1::StreamOpen::TERMINAL);
  EXPECT_EQ(ReadUntil(terminal, "ready\r\n"), "20 90\r\nready\r\n");
  ASSERT_TRUE(WriteAll(terminal.get(), "\x03").has_value());
  EXPECT_EQ(Wait("exectty", "e")->exit_code(), 130u);
}

TEST_F(AgentTest, OutOfMemoryKillsAreReported) {
  const Ended ended =
      Run(Request("oom", {"sh", "-c", "tail /dev/zero"},
                  R"(, "resources": {"memory": {"limit": 16777216, "swap": 16777216}})"));
  EXPECT_EQ(ended.exit.exit_code(), 137u);
  EXPECT_TRUE(ended.exit.out_of_memory());
}

TEST_F(AgentTest, PauseStopsEveryProcessUntilResume) {
  Sleeper("pause");
  v1::PauseRequest pause;
  pause.set_container_id("pause");
  ASSERT_TRUE(Call<v1::PauseResponse>("Pause", pause).has_value());
  EXPECT_EQ(State("pause")->status(), v1::StateResponse::PAUSED);
  EXPECT_EQ(Exec(ExecOf("pause", "e", {"true"})).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(Call<v1::PauseResponse>("Pause", pause).error().code(), ErrorCode::kUnavailable);
  v1::ResumeRequest resume;
  resume.set_container_id("pause");
  ASSERT_TRUE(Call<v1::ResumeResponse>("Resume", resume).has_value());
  EXPECT_EQ(State("pause")->status(), v1::StateResponse::RUNNING);
  EXPECT_EQ(RunExec(ExecOf("pause", "e", {"true"})).exit.exit_code(), 0u);
}

TEST_F(AgentTest, StateFollowsTheLifeOfAContainer) {
  const auto created = Create(Request("life", {"sh", "-c", "sleep 1000 & wait"}));
  ASSERT_TRUE(created.has_value());
  EXPECT_EQ(State("life")->status(), v1::StateResponse::CREATED);
  EXPECT_EQ(State("life")->pid(), created->pid());
  EXPECT_EQ(Exec(ExecOf("life", "e", {"true"})).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(Create(Request("life", {"true"})).error().code(), ErrorCode::kAlreadyExists);
  ASSERT_TRUE(Start("life").has_value());
  EXPECT_EQ(Start("life").error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(Delete("life").error().code(), ErrorCode::kUnavailable);
  for (int i = 0; i < 100 && State("life")->pids_size() != 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(State("life")->pids_size(), 2);
  ASSERT_TRUE(Kill("life", SIGKILL).has_value());
  EXPECT_EQ(Wait("life")->signal(), static_cast<uint32_t>(SIGKILL));
  EXPECT_EQ(State("life")->status(), v1::StateResponse::STOPPED);
  EXPECT_EQ(State("life")->exit().exit_code(), 137u);
  EXPECT_EQ(Kill("life", SIGKILL).error().code(), ErrorCode::kUnavailable);
  ASSERT_TRUE(Delete("life").has_value());
  EXPECT_EQ(State("life").error().code(), ErrorCode::kNotFound);
}

TEST_F(AgentTest, ForcedDeleteKillsFirstAndWaitersAreAnswered) {
  Sleeper("force");
  ErrorCode code = ErrorCode::kFailed;
  v1::WaitRequest wait;
  wait.set_container_id("force");
  uint32_t signal = 0;
  client_->Call<v1::WaitResponse>(kServiceName, "Wait", wait, ttrpc::kNoTimeout,
                                  [&](const Result<v1::WaitResponse>& response) {
                                    if (response) {
                                      signal = response->signal();
                                    } else {
                                      code = response.error().code();
                                    }
                                  });
  ASSERT_TRUE(Delete("force", true).has_value());
  EXPECT_EQ(signal, static_cast<uint32_t>(SIGKILL));
  if (!agent_->in_guest()) {
    EXPECT_NE(::access("/sys/fs/cgroup/force", F_OK), 0) << "the cgroup is left";
  }
}

TEST_F(AgentTest, KillAllReachesEveryProcess) {
  Sleeper("all");
  ASSERT_TRUE(Exec(ExecOf("all", "a", {"sleep", "1000"})).has_value());
  ASSERT_TRUE(Exec(ExecOf("all", "b", {"sleep", "1000"})).has_value());
  ASSERT_TRUE(Kill("all", SIGTERM, "", true).has_value());
  EXPECT_EQ(Wait("all", "a")->signal(), static_cast<uint32_t>(SIGTERM));
  EXPECT_EQ(Wait("all", "b")->signal(), static_cast<uint32_t>(SIGTERM));
  ASSERT_TRUE(Kill("all", SIGKILL, "", true).has_value());
  EXPECT_EQ(Wait("all")->signal(), static_cast<uint32_t>(SIGKILL));
}

TEST_F(AgentTest, StreamsThatDoNotExistAreRefused) {
  Sleeper("nostream");
  std::string error;
  EXPECT_FALSE(Open("nowhere", "", v1::StreamOpen::STDOUT, &error).valid());
  EXPECT_EQ(error, "no container nowhere");
  EXPECT_FALSE(Open("nostream", "e", v1::StreamOpen::STDOUT, &error).valid());
  EXPECT_EQ(error, "container nostream has no process e");
  EXPECT_FALSE(Open("nostream", "", v1::StreamOpen::TERMINAL, &error).valid());
  EXPECT_EQ(error, "the process has no terminal");
}

TEST_F(AgentTest, BadRequestsAreNamed) {
  const auto code = [&](const v1::CreateRequest& request) {
    const auto result = Call<v1::CreateResponse>("Create", request);
    return result ? "created" : result.error().message();
  };
  EXPECT_TRUE(code(Request("../x", {"true"})).starts_with("container_id: "));
  EXPECT_TRUE(code(Request("", {"true"})).starts_with("container_id: "));
  EXPECT_TRUE(code(Request(std::string(129, 'a'), {"true"})).starts_with("container_id: "));
  v1::CreateRequest request = Request("bad", {"true"});
  request.set_oci_config("{");
  EXPECT_TRUE(code(request).starts_with("oci_config: not JSON"));
  request = Request("bad", {});
  EXPECT_EQ(code(request), "process.args: no command");
  request = Request("bad", {"true"});
  request.mutable_rootfs()->mutable_layers(1)->set_device("/etc/passwd");
  EXPECT_TRUE(code(request).starts_with("rootfs.layers[1].device: "));
  request.mutable_rootfs()->mutable_layers(1)->set_device("/dev/null");
  EXPECT_NE(code(request).find("layer /dev/null"), std::string::npos) << code(request);
  EXPECT_EQ(Run(Request("bad", {"true"})).exit.exit_code(), 0u) << "nothing is left behind";
}

TEST_F(AgentTest, IdsMayBeLong) {
  const std::string id(128, 'x');
  v1::CreateRequest request = Request(id, {"echo", "hi"});
  request.mutable_stdio()->set_terminal(true);
  EXPECT_EQ(Run(request).out, "hi\r\n");
}

TEST_F(AgentTest, ManyProcessesAtOnceAreKeptApart) {
  Sleeper("many");
  for (int i = 0; i < 20; ++i) {
    const std::string id = "m" + std::to_string(i);
    ASSERT_TRUE(Exec(ExecOf("many", id, {"sh", "-c", "echo " + id + "; exit " + std::to_string(i)}))
                    .has_value());
  }
  for (int i = 0; i < 20; ++i) {
    const std::string id = "m" + std::to_string(i);
    EXPECT_EQ(ReadToEnd(Open("many", id, v1::StreamOpen::STDOUT)), id + "\n");
    EXPECT_EQ(Wait("many", id)->exit_code(), static_cast<uint32_t>(i));
  }
}

TEST_F(AgentTest, SeveralContainersShareTheLayers) {
  Sleeper("one");
  Sleeper("two");
  EXPECT_EQ(RunExec(ExecOf("one", "e", {"sh", "-c", "echo 1 > /etc/x"})).exit.exit_code(), 0u);
  EXPECT_EQ(RunExec(ExecOf("two", "e", {"sh", "-c", "cat /etc/x"})).exit.exit_code(), 1u);
}

// Last: the agent ends.
TEST_F(AgentTest, ZzShutdownEndsContainersAndTheAgent) {
  Sleeper("left");
  ASSERT_TRUE(Exec(ExecOf("left", "e", {"sleep", "1000"})).has_value());
  v1::ShutdownRequest request;
  request.set_grace_ms(100);
  const auto response = Call<v1::ShutdownResponse>("Shutdown", request);
  EXPECT_TRUE(response.has_value());
  made_.clear();
  if (agent_->in_guest()) return;  // whoever started the guest sees its end
  bool ended = false;
  for (int i = 0; i < 250 && !ended; ++i) {
    ended = ::waitpid(agent_->pid(), nullptr, WNOHANG) == agent_->pid();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace hull::agent::testing

int main(int argc, char** argv) {
  if (argc == 3 && argv[1] == std::string_view("--make-layers")) {
    return hull::agent::testing::AgentProcess::MakeLayers(argv[2]) ? 0 : 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  const int result = RUN_ALL_TESTS();
  std::string why_not;
  if (hull::agent::testing::AgentProcess* agent =
          hull::agent::testing::AgentProcess::Get(&why_not)) {
    agent->Stop();
  }
  return result;
}
