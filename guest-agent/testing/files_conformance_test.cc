// What the agent's protocol promises about files and processes, against a real hull-agent.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "guest-agent/protocol/chunk_stream.h"
#include "guest-agent/testing/agent_fixture.h"
#include "vmm/base/file.h"

namespace hull::agent::testing {
namespace {

v1::Archive ReadOf(const std::string& path, const std::string& name) {
  v1::Archive archive;
  archive.set_operation(v1::Archive::READ);
  archive.set_path(path);
  archive.set_name(name);
  return archive;
}

v1::Archive WriteTo(const std::string& path) {
  v1::Archive archive;
  archive.set_operation(v1::Archive::WRITE);
  archive.set_path(path);
  return archive;
}

v1::Archive OperationOf(v1::Archive::Operation operation) {
  v1::Archive archive;
  archive.set_operation(operation);
  return archive;
}

// The output of a shell command whose input is `data`.
std::string Piped(const std::string& data, const std::string& command) {
  char name[] = "/run/hull-tar-XXXXXX";
  const UniqueFd file(::mkstemp(name));
  static_cast<void>(WriteAll(file.get(), data));
  std::string text;
  FILE* pipe = ::popen(("{ " + command + "; } < " + name).c_str(), "r");
  char bytes[4096];
  while (const size_t size = std::fread(bytes, 1, sizeof bytes, pipe)) text.append(bytes, size);
  ::pclose(pipe);
  ::unlink(name);
  return text;
}

std::string Changes(const std::string& data) {
  std::string text = data;
  std::replace(text.begin(), text.end(), '\0', '\n');
  return text;
}

TEST_F(AgentTest, MountOnlyHasFilesAndNoProcess) {
  v1::CreateRequest request = Request("mounted", {"true"});
  request.set_mount_only(true);
  const auto created = Create(request);
  ASSERT_TRUE(created.has_value()) << created.error().ToString();
  EXPECT_EQ(created->pid(), 0u);
  EXPECT_EQ(State("mounted")->status(), v1::StateResponse::MOUNTED);
  EXPECT_EQ(Start("mounted").error().message(), "container mounted is not running");
  EXPECT_EQ(Kill("mounted", 9).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(Exec(ExecOf("mounted", "e", {"true"})).error().message(),
            "container mounted is not running");
  v1::ProcessesRequest processes;
  processes.set_container_id("mounted");
  EXPECT_EQ(Call<v1::ProcessesResponse>("Processes", processes).error().code(),
            ErrorCode::kUnavailable);
  EXPECT_EQ(Piped(Receive("mounted", ReadOf("/etc/release", "r")).data, "tar xO"), "top\n");
  EXPECT_TRUE(Delete("mounted").has_value());
}

TEST_F(AgentTest, FilesGoOutAndIn) {
  Sleeper("files");
  ASSERT_EQ(RunExec(ExecOf("files", "e",
                           {"sh", "-c",
                            "mkdir -p /tmp/t/d; echo one > /tmp/t/a; ln /tmp/t/a /tmp/t/b; "
                            "ln -s /etc/passwd /tmp/t/l; mkfifo /tmp/t/p; chown 7:8 /tmp/t/p; "
                            "chmod 4711 /tmp/t/a; touch -d '2001-02-03 04:05:06' /tmp/t/d"}))
                .exit.exit_code(),
            0u);
  const Received out = Receive("files", ReadOf("/tmp/t", "t"));
  EXPECT_EQ(out.end.code(), 0) << out.end.message();
  EXPECT_EQ(out.end.entries(), 6u);
  const std::string listing = Piped(out.data, "TZ=UTC tar tv --numeric-owner");
  EXPECT_NE(listing.find("-rws--x--x 0/0"), std::string::npos) << listing;
  EXPECT_NE(listing.find("t/b link to t/a"), std::string::npos) << listing;
  EXPECT_NE(listing.find("t/l -> /etc/passwd"), std::string::npos) << listing;
  EXPECT_NE(listing.find("2001-02-03 04:05 t/d/"), std::string::npos) << listing;
  EXPECT_NE(listing.find("prw-r--r-- 7/8"), std::string::npos) << listing;

  const v1::ArchiveEnd in = Send("files", WriteTo("/home"), out.data);
  EXPECT_EQ(in.code(), 0) << in.message();
  EXPECT_EQ(RunExec(ExecOf("files", "e",
                           {"sh", "-c",
                            "cd /home/t; cat a b; readlink l; stat -c '%a %u %h' a; "
                            "stat -c %y d; test -p p && echo fifo"}))
                .out,
            "one\none\n/etc/passwd\n4711 0 2\n2001-02-03 04:05:06.000000000 +0000\nfifo\n");
  v1::Archive keep = WriteTo("/home");
  keep.set_keep_owner(true);
  EXPECT_EQ(Send("files", keep, out.data).code(), 0);
  EXPECT_EQ(RunExec(ExecOf("files", "e", {"stat", "-c", "%u:%g", "/home/t/p"})).out, "7:8\n");
}

TEST_F(AgentTest, ArchivesSeeMountsWhileTheContainerRuns) {
  Sleeper("mounts");
  // /dev is a tmpfs of the container alone.
  ASSERT_EQ(RunExec(ExecOf("mounts", "e", {"sh", "-c", "echo seen > /dev/x"})).exit.exit_code(),
            0u);
  EXPECT_EQ(Piped(Receive("mounts", ReadOf("/dev/x", "x")).data, "tar xO"), "seen\n");
}

TEST_F(AgentTest, LinksDoNotLeadOutOfTheContainer) {
  Sleeper("links");
  ASSERT_EQ(RunExec(ExecOf("links", "e",
                           {"sh", "-c",
                            "ln -s / /tmp/root; ln -s ../../../../../.. /tmp/up; "
                            "ln -s /proc/1/root /tmp/magic; ln -s loop /tmp/loop"}))
                .exit.exit_code(),
            0u);
  for (const char* path :
       {"/tmp/root/etc/release", "/tmp/up/etc/release", "/../../../etc/release"}) {
    EXPECT_EQ(Piped(Receive("links", ReadOf(path, "r")).data, "tar xO"), "top\n") << path;
  }
  EXPECT_NE(Receive("links", ReadOf("/tmp/magic/etc/release", "r")).end.code(), 0);
  v1::Archive loop = ReadOf("/tmp/loop", "r");
  loop.set_follow_link(true);
  EXPECT_NE(Receive("links", loop).end.code(), 0);
  EXPECT_EQ(Receive("links", ReadOf("/no/such", "r")).end.code(), 5) << "NOT_FOUND";
}

TEST_F(AgentTest, HostileTarsStayInTheContainer) {
  Sleeper("tars");
  const std::string make = "cd $(mktemp -d) && ";
  struct Case {
    const char* what;
    const char* commands;
    bool accepted;
  };
  for (const Case& test : {
           Case{"a name that climbs", "echo x > f; tar c --transform 's,f,../../../../hull-out,' f",
                false},
           Case{"an absolute name", "echo x > f; tar cP --transform 's,f,/tmp/hull-abs,' f", true},
           Case{"a link, then a file through it",
                "ln -s / l; tar c l > /run/h.tar; rm l; mkdir l; echo x > l/hull-out; "
                "tar r -f /run/h.tar l/hull-out; cat /run/h.tar",
                true},
           Case{"a hard link to what is outside",
                "echo x > f; ln f g; tar c --transform 's,^f$,../../../etc/passwd,S' f g", false},
           Case{"not a tar at all", "head -c 100000 /dev/urandom", false},
           Case{"a tar that ends early", "head -c 100000 /dev/zero > f; tar c f | head -c 5000",
                false},
       }) {
    const std::string tar = Piped("", make + test.commands);
    const v1::ArchiveEnd end = Send("tars", WriteTo("/tmp"), tar);
    EXPECT_EQ(end.code() == 0, test.accepted) << test.what << ": " << end.message();
    EXPECT_NE(::access("/hull-out", F_OK), 0) << test.what;
    EXPECT_NE(::access("/tmp/hull-abs", F_OK), 0) << test.what;
  }
  // No directory is replaced by a file, and the other way round.
  EXPECT_EQ(Send("tars", WriteTo("/"), Piped("", make + "echo x > etc; tar c etc")).code(), 9);
  EXPECT_EQ(Send("tars", WriteTo("/etc"), Piped("", make + "mkdir release; tar c release")).code(),
            9);
  EXPECT_NE(Send("tars", WriteTo("/etc/release"), "").code(), 0) << "not a directory";
}

TEST_F(AgentTest, HostThatLeavesInTheMiddleDoesNoHarm) {
  Sleeper("leave");
  for (const v1::Archive& archive : {ReadOf("/", "."), WriteTo("/tmp")}) {
    const UniqueFd socket = OpenArchive("leave", archive);
    char byte = 0;
    if (archive.operation() == v1::Archive::READ) {
      EXPECT_EQ(::read(socket.get(), &byte, 1), 1);
    }
  }
  // Chunks of a length that cannot be.
  const UniqueFd socket = OpenArchive("leave", WriteTo("/tmp"));
  ASSERT_TRUE(WriteAll(socket.get(), std::string(8, '\xff')));
  EXPECT_NE(ReceiveArchiveEnd(socket.get())->code(), 0);
  std::string error;
  OpenArchive("leave", ReadOf("/etc", "a/b"), &error);
  EXPECT_EQ(error, "archive.name: not a name");
  OpenArchive("nobody", ReadOf("/etc", "a"), &error);
  EXPECT_EQ(error, "no container nobody");
  EXPECT_EQ(Piped(Receive("leave", ReadOf("/etc/release", "r")).data, "tar xO"), "top\n");
}

TEST_F(AgentTest, ChangesAgainstTheLayers) {
  Sleeper("changed");
  EXPECT_EQ(Changes(Receive("changed", OperationOf(v1::Archive::CHANGES)).data), "")
      << "nothing was done yet";
  ASSERT_EQ(
      RunExec(ExecOf("changed", "e",
                     {"sh", "-c",
                      "echo x > /etc/new; rm /etc/only-low; echo y >> /etc/release; "
                      "rm -r /data; mkdir /data; touch /data/f; mkdir /empty; chmod 700 /root; "
                      "touch /tmp/gone; rm /tmp/gone; ln /etc/new /etc/again"}))
          .exit.exit_code(),
      0u);
  EXPECT_EQ(Changes(Receive("changed", OperationOf(v1::Archive::CHANGES)).data),
            "C/data\nA/data/f\nA/empty\nC/etc\nA/etc/again\nA/etc/new\nD/etc/only-low\n"
            "C/etc/release\nC/root\nC/tmp\n");
  const Received layer = Receive("changed", OperationOf(v1::Archive::LAYER));
  EXPECT_EQ(layer.end.code(), 0) << layer.end.message();
  EXPECT_EQ(Piped(layer.data, "tar t | sort"),
            "data/\ndata/.wh..wh..opq\ndata/f\nempty/\netc/\netc/.wh.only-low\netc/again\n"
            "etc/new\netc/release\nroot/\ntmp/\n");
  EXPECT_NE(Piped(layer.data, "tar tv").find("etc/new link to etc/again"), std::string::npos);
}

TEST_F(AgentTest, StatFollowsLinksInTheContainer) {
  Sleeper("stat");
  v1::StatRequest request;
  request.set_container_id("stat");
  request.set_path("/bin/sh");
  auto response = Call<v1::StatResponse>("Stat", request);
  ASSERT_TRUE(response.has_value());
  EXPECT_TRUE(S_ISLNK(response->mode()));
  EXPECT_EQ(response->link_target(), "/bin/busybox");
  request.set_follow_link(true);
  EXPECT_TRUE(S_ISREG(Call<v1::StatResponse>("Stat", request)->mode()));
  request.set_path("/no/such");
  EXPECT_EQ(Call<v1::StatResponse>("Stat", request).error().code(), ErrorCode::kNotFound);
  request.set_path("");
  EXPECT_EQ(Call<v1::StatResponse>("Stat", request).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(AgentTest, ProcessesAreNumberedAsInTheContainer) {
  Sleeper("top");
  v1::ExecRequest exec = ExecOf("top", "e", {"sh", "-c", "sleep 77 & wait"});
  exec.set_user("web");
  ASSERT_TRUE(Exec(exec).has_value());
  v1::ProcessesRequest request;
  request.set_container_id("top");
  v1::ProcessesResponse response;
  for (int i = 0; i < 100 && response.processes_size() < 3; ++i) {
    response = *Call<v1::ProcessesResponse>("Processes", request);
    ::usleep(10'000);
  }
  ASSERT_EQ(response.processes_size(), 3);
  const v1::ProcessInfo& first = response.processes(0);
  EXPECT_EQ(first.pid(), 1u);
  EXPECT_EQ(first.arguments(), std::string("sleep\0"
                                           "1000\0",
                                           11));
  EXPECT_EQ(first.effective_user_name(), "root");
  const v1::ProcessInfo& child = response.processes(2);
  EXPECT_EQ(child.effective_user_name(), "web");
  EXPECT_EQ(child.effective_user(), 1000u);
  EXPECT_EQ(child.parent(), response.processes(1).pid());
  EXPECT_EQ(child.state(), "S");
  EXPECT_GT(response.memory_bytes(), 0u);
  EXPECT_LE(child.started_at_ns(), response.now_ns());
}

TEST_F(AgentTest, MissingInterpreterIsACommandNotFound) {
  Sleeper("interp");
  ASSERT_EQ(
      RunExec(
          ExecOf("interp", "e",
                 {"sh", "-c",
                  "printf '#!/no/such arg\\n' > /tmp/s; printf '#! /bin/sh\\r\\n' > /tmp/cr; "
                  "printf '#!/bin/sh\\necho fine' > /tmp/ok; chmod 755 /tmp/s /tmp/cr /tmp/ok"}))
          .exit.exit_code(),
      0u);
  for (const char* command : {"/tmp/s", "/tmp/cr"}) {
    const auto failed = Exec(ExecOf("interp", "e", {command}));
    ASSERT_FALSE(failed.has_value());
    EXPECT_EQ(failed.error().code(), ErrorCode::kNotFound);
    EXPECT_TRUE(failed.error().message().starts_with(std::string("exec ") + command +
                                                     ": no such file or directory"))
        << failed.error().message();
  }
  EXPECT_EQ(RunExec(ExecOf("interp", "e", {"/tmp/ok"})).out, "fine\n");
}

TEST_F(AgentTest, SignalsOfJobControlReachTheProcess) {
  Sleeper("jobs");
  // Without a terminal the kernel drops SIGTSTP unless it is handled.
  ASSERT_TRUE(
      Exec(ExecOf("jobs", "e", {"sh", "-c", "trap 'echo got' TSTP; while :; do sleep 0.1; done"}))
          .has_value());
  const UniqueFd out = Open("jobs", "e", v1::StreamOpen::STDOUT);
  ::usleep(300'000);
  ASSERT_TRUE(Kill("jobs", 20, "e").has_value());
  EXPECT_EQ(ReadUntil(out, "got"), "got\n");
  const auto becomes = [&](bool stopped) {
    for (int i = 0; i < 200; ++i) {
      v1::ProcessesRequest request;
      request.set_container_id("jobs");
      const auto response = Call<v1::ProcessesResponse>("Processes", request);
      if (response && response->processes_size() > 1 &&
          (response->processes(1).state() == "T") == stopped) {
        return true;
      }
      ::usleep(10'000);
    }
    return false;
  };
  ASSERT_TRUE(Kill("jobs", 19, "e").has_value());
  EXPECT_TRUE(becomes(true));
  ASSERT_TRUE(Kill("jobs", 18, "e").has_value());
  EXPECT_TRUE(becomes(false));
}

TEST_F(AgentTest, SysctlsOfTheGuestAreWrittenBeforeTheContainerRuns) {
  if (!agent_->in_guest()) GTEST_SKIP() << "would change this machine";
  const auto with = [this](const std::string& sysctl) {
    return Request("sysctl",
                   {"cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/kernel/shmmni"},
                   ", \"sysctl\": {" + sysctl + "}");
  };
  EXPECT_EQ(Run(with(R"("net.ipv4.ip_default_ttl": "77", "kernel.shmmni": "99")")).out, "77\n99\n");
  for (const char* refused : {R"("net.no.such": "1")", R"("net.ipv4.ip_default_ttl": "x")",
                              R"("kernel.core_pattern": "|/x")", R"("../etc/passwd": "x")"}) {
    EXPECT_EQ(Create(with(refused)).error().code(), ErrorCode::kInvalidArgument) << refused;
  }
}

}  // namespace
}  // namespace hull::agent::testing
