// What `hull run` and `hull create` refuse, and in which words: docker's where docker has any.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "runtime/cli/arguments.h"
#include "runtime/cli/run_flags.h"
#include "runtime/cli/run_options.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

using List = std::vector<std::string>;

Result<RunRequest> Parse(const List& arguments, RunVerb verb = RunVerb::kRun) {
  CLI::App app;
  app.set_help_flag();
  RunFlags flags;
  DeclareRunFlags(app, flags, verb, &arguments);
  HULL_ASSIGN(SplitArguments split, SplitCommandLine(app, arguments));
  std::reverse(split.options.begin(), split.options.end());
  try {
    app.parse(split.options);
  } catch (const CLI::Error& error) {
    return Fail(ErrorCode::kInvalidArgument, "{}", error.what());
  }
  return InterpretRunFlags(flags, split.rest, [](const char*) -> const char* { return nullptr; });
}

std::string Refusal(List arguments) {
  arguments.emplace_back("image");
  const Result<RunRequest> request = Parse(arguments);
  return request ? "(accepted)" : request.error().ToString();
}

// A file for the life of a test.
class TextFile {
 public:
  explicit TextFile(std::string_view text) {
    const UniqueFd fd(mkstemp(path_.data()));
    EXPECT_TRUE(WriteAll(fd.get(), text));
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  ~TextFile() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "hull-test-XXXXXX";
};

struct Refused {
  List arguments;
  std::string words;
};

TEST(RunRefusals, AWrongValueIsRefusedInDockersWords) {
  const std::vector<Refused> table = {
      {{"-e", "=x"},
       R"(invalid argument "=x" for "-e, --env" flag: invalid environment variable: =x)"},
      {{"-l", "=x"},
       R"(invalid argument "=x" for "-l, --label" flag: invalid label '=x': empty name)"},
      {{"--ulimit", "foo"},
       R"(invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo)"},
      {{"--ulimit", "foo=1"},
       R"(invalid argument "foo=1" for "--ulimit" flag: invalid ulimit type: foo)"},
      {{"--ulimit", "nofile=2:1"},
       R"(invalid argument "nofile=2:1" for "--ulimit" flag: ulimit soft limit must be less than or equal to hard limit: 2 > 1)"},
      {{"--ulimit", "nofile=-1:5"},
       R"(invalid argument "nofile=-1:5" for "--ulimit" flag: ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: 5)"},
      {{"--ulimit", "nofile=a"},
       R"(invalid argument "nofile=a" for "--ulimit" flag: strconv.ParseInt: parsing "a": invalid syntax)"},
      {{"--ulimit", "nofile=1:2:3"},
       R"(invalid argument "nofile=1:2:3" for "--ulimit" flag: too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`)"},
      {{"--sysctl", "foo=1"},
       R"(invalid argument "foo=1" for "--sysctl" flag: sysctl 'foo=1' is not allowed)"},
      {{"--sysctl", "net.x"},
       R"(invalid argument "net.x" for "--sysctl" flag: sysctl 'net.x' is not allowed)"},
      {{"--shm-size", "x"}, R"(invalid argument "x" for "--shm-size" flag: invalid size: 'x')"},
      {{"-m", "-1"}, R"(invalid argument "-1" for "-m, --memory" flag: invalid size: '-1')"},
      {{"--memory-swap", "-2"},
       R"(invalid argument "-2" for "--memory-swap" flag: invalid size: '-2')"},
      {{"--memory-swappiness", "200"},
       "invalid value: 200. Valid memory swappiness range is 0-100"},
      {{"--cpus", "x"},
       R"(invalid argument "x" for "--cpus" flag: failed to parse x as a rational number)"},
      {{"--cpus", "1.1234567891"},
       R"(invalid argument "1.1234567891" for "--cpus" flag: value is too precise)"},
      {{"--pids-limit", "x"},
       R"(invalid argument "x" for "--pids-limit" flag: strconv.ParseInt: parsing "x": invalid syntax)"},
      {{"--pids-limit", "99999999999999999999"},
       R"(invalid argument "99999999999999999999" for "--pids-limit" flag: strconv.ParseInt: parsing "99999999999999999999": value out of range)"},
      {{"--stop-timeout", "1.5"},
       R"(invalid argument "1.5" for "--stop-timeout" flag: strconv.ParseInt: parsing "1.5": invalid syntax)"},
      {{"-c", "x"},
       R"(invalid argument "x" for "-c, --cpu-shares" flag: strconv.ParseInt: parsing "x": invalid syntax)"},
      {{"--rm=x"},
       R"(invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax)"},
      {{"-a", "foo"},
       R"(invalid argument "foo" for "-a, --attach" flag: valid streams are STDIN, STDOUT and STDERR)"},
      {{"-d", "-a", "stdout"}, "conflicting options: cannot specify both --attach and --detach"},
      {{"--rm", "--restart=always"}, "conflicting options: cannot specify both --restart and --rm"},
      {{"--restart=on-failure:x"},
       "invalid restart policy format: maximum retry count must be an integer"},
      {{"--security-opt", "foo"}, R"(invalid --security-opt: "foo")"},
      {{"--security-opt", "foo=bar"}, R"(invalid --security-opt 2: "foo=bar")"},
      {{"--security-opt", "no-new-privileges=maybe"},
       R"(invalid --security-opt 2: "no-new-privileges=maybe")"},
      {{"--security-opt", "seccomp=/nonexistent/x"},
       "opening seccomp profile (/nonexistent/x) failed: open /nonexistent/x: No such file or "
       "directory"},
      {{"--tmpfs", "x"}, "invalid mount path: 'x' mount path must be absolute"},
      {{"--tmpfs", "/"}, "invalid specification: destination can't be '/'"},
      {{"--tmpfs", "/x:foo"}, R"(invalid tmpfs option ["foo"])"},
      {{"--tmpfs", "/x:foo=1"}, R"(invalid tmpfs option ["foo" "1"])"},
      {{"--tmpfs", "/x:bind"}, R"(invalid tmpfs option ["bind"])"},
      {{"--log-driver", "foo"}, "logger: no log driver named 'foo' is registered"},
      {{"--log-driver", "none", "--log-opt", "max-size=1"}, "invalid logging opts for driver none"},
      {{"--log-opt", "foo=1"}, "unknown log opt 'foo' for json-file log driver"},
      {{"--log-opt", "max-file=0"}, "max-file cannot be less than 1"},
      {{"--pull", "foo"},
       R"(invalid pull option: 'foo': must be one of "always", "missing" or "never")"},
      {{"--platform", "a/b/c/d"},
       R"(error parsing specified platform: "a/b/c/d": cannot parse platform specifier: invalid argument)"},
      {{"--pid", "foo"}, "--pid: invalid PID mode"},
      {{"--device", "nvidia0"},
       R"(invalid argument "nvidia0" for "--device" flag: it is neither a PCI device, a VFIO group nor a CDI name)"},
      {{"--gpus", "many"},
       R"(invalid argument "many" for "--gpus" flag: invalid count (many): value must be either "all" or an integer)"},
      {{"--annotation", "hull.modules=bochs"},
       "hull.modules: only a virtual machine with passed-through devices has a kernel that takes "
       "modules"},
      {{"--gpus", "all", "--annotation", "hull.modules=../x"},
       "hull.modules: '../x' is no name of a kernel module"},
      {{"--gpus", "all", "--annotation", "hull.modules="},
       "hull.modules: '' is no name of a kernel module"},
      {{"--annotation", "hull.dma-pool=64m"},
       "hull.dma-pool: only a virtual machine with passed-through devices has memory that devices "
       "reach"},
      {{"--gpus", "all", "--annotation", "hull.dma-pool=some"},
       "hull.dma-pool: invalid size: 'some'"},
      {{"--gpus", "all", "--annotation", "hull.dma-pool=1m"},
       "hull.dma-pool: '1m' is not a whole number of MiB from 2m to 256m"},
      {{"--gpus", "all", "--annotation", "hull.dma-pool=1g"},
       "hull.dma-pool: '1g' is not a whole number of MiB from 2m to 256m"},
      {{"--gpus", "all", "--annotation", "hull.dma-pool=2500k"},
       "hull.dma-pool: '2500k' is not a whole number of MiB from 2m to 256m"},
      {{"--uts", "foo"}, "--uts: invalid UTS mode"},
      {{"--userns", "foo"}, "--userns: invalid USER mode"},
      {{"--cgroupns", "foo"}, "--cgroupns: invalid CGROUP mode"},
      {{"--ipc", "foo"}, "invalid IPC mode: foo"},
      {{"--storage-opt", "x"}, "invalid storage option"},
      {{"--annotation", "=1"},
       "invalid Annotation: the empty string is not permitted as an annotation key"},
      {{"--env-file", "/nonexistent/x"}, "open /nonexistent/x: No such file or directory"},
  };
  for (const Refused& refused : table) {
    EXPECT_EQ(Refusal(refused.arguments), refused.words);
  }
}

TEST(RunRefusals, WhatHullLacksIsNamedWithTheReason) {
  const std::vector<Refused> table = {
      {{"--gpus", "driver=nvidia"},
       "could not select device driver \"nvidia\" with capabilities: [[gpu]]"},
      {{"--device", "/dev/no-such:/dev/x:rwm"},
       "--device /dev/no-such:/dev/x:rwm: the container's kernel is not the host's, and has none "
       "of "
       "the host's device nodes"},
      {{"--device-cgroup-rule", "c 1:3 r"},
       "--device-cgroup-rule: what --device passes through may be used without; --privileged "
       "allows "
       "the others"},
      {{"-v", "/a:/b"}, "--volume: hull has no volumes yet"},
      {{"--mount", "type=bind"}, "--mount: hull has no volumes yet; --tmpfs mounts a tmpfs"},
      {{"-p", "80:80"}, "--publish: hull has no networks yet"},
      {{"-P"}, "--publish-all: hull has no networks yet"},
      {{"--net", "host"}, "--network host: hull has no networks yet, only none"},
      {{"--dns-opt", "x"}, "--dns-option: hull has no networks yet"},
      {{"--restart", "always"}, "--restart always: hull has no daemon that would start it again"},
      {{"--health-cmd", "true"}, "--health-cmd: hull runs no health checks"},
      {{"--oom-kill-disable"}, "--oom-kill-disable: cgroup v2 cannot do without the OOM killer"},
      {{"--runtime", "runc"}, "--runtime: a container of hull has no other runtime"},
      {{"--ipc", "host"}, "--ipc host: a container is alone in its virtual machine"},
      {{"--pid", "container:x"}, "--pid container:x: a container is alone in its virtual machine"},
      {{"--security-opt", "apparmor=x"},
       "--security-opt apparmor=x: the guest's kernel has no AppArmor"},
      {{"--security-opt", "label=user:x"},
       "--security-opt label=user:x: the guest's kernel has no SELinux"},
      {{"--log-driver", "syslog"},
       "--log-driver syslog: hull keeps logs in files of its own; hull logs -f feeds them to "
       "another program"},
      {{"--kernel-memory", "5m"}, "--kernel-memory: Linux has no such limit any more"},
      {{"--cpu-count", "2"}, "--cpu-count: only Windows has it"},
  };
  for (const Refused& refused : table) {
    List arguments = refused.arguments;
    EXPECT_EQ(Refusal(arguments), refused.words);
    arguments.emplace_back("image");
    EXPECT_EQ(Parse(arguments).error().code(), ErrorCode::kUnsupported) << refused.words;
  }
}

TEST(RunRefusals, WhatIsSoAnywayIsAccepted) {
  const std::vector<List> table = {
      {"--ipc=private"},
      {"--pid=private"},
      {"--network", "none"},
      {"--userns=host"},
      {"--restart=no"},
      {"--cgroupns=private"},
      {"--publish-all=false"},
      {"--isolation=default"},
      {"--disable-content-trust"},
      {"--health-cmd="},
      {"--cpu-count", "0"},
      {"--blkio-weight", "0"},
      {"--oom-kill-disable=false"},
      {"--security-opt", "apparmor=unconfined"},
      {"--security-opt", "label=disable"},
      {"--no-healthcheck"},
      {"--log-driver", "json-file"},
      {"--memory-swap", "-1"},
  };
  for (const List& arguments : table) EXPECT_EQ(Refusal(arguments), "(accepted)") << arguments[0];
}

// docker run --help of version 28.2; a newer docker's flags are to be added to the table.
TEST(RunRefusals, EveryFlagOfDockersIsKnown) {
  const List flags = {
      "add-host",
      "annotation",
      "attach",
      "blkio-weight",
      "blkio-weight-device",
      "cap-add",
      "cap-drop",
      "cgroup-parent",
      "cgroupns",
      "cidfile",
      "cpu-count",
      "cpu-percent",
      "cpu-period",
      "cpu-quota",
      "cpu-rt-period",
      "cpu-rt-runtime",
      "cpu-shares",
      "cpus",
      "cpuset-cpus",
      "cpuset-mems",
      "detach",
      "detach-keys",
      "device",
      "device-cgroup-rule",
      "device-read-bps",
      "device-read-iops",
      "device-write-bps",
      "device-write-iops",
      "disable-content-trust",
      "dns",
      "dns-option",
      "dns-search",
      "domainname",
      "entrypoint",
      "env",
      "env-file",
      "expose",
      "gpus",
      "group-add",
      "health-cmd",
      "health-interval",
      "health-retries",
      "health-start-interval",
      "health-start-period",
      "health-timeout",
      "hostname",
      "init",
      "interactive",
      "io-maxbandwidth",
      "io-maxiops",
      "ip",
      "ip6",
      "ipc",
      "isolation",
      "kernel-memory",
      "label",
      "label-file",
      "link",
      "link-local-ip",
      "log-driver",
      "log-opt",
      "mac-address",
      "memory",
      "memory-reservation",
      "memory-swap",
      "memory-swappiness",
      "mount",
      "name",
      "network",
      "network-alias",
      "no-healthcheck",
      "oom-kill-disable",
      "oom-score-adj",
      "pid",
      "pids-limit",
      "platform",
      "privileged",
      "publish",
      "publish-all",
      "pull",
      "quiet",
      "read-only",
      "restart",
      "rm",
      "runtime",
      "security-opt",
      "shm-size",
      "sig-proxy",
      "stop-signal",
      "stop-timeout",
      "storage-opt",
      "sysctl",
      "tmpfs",
      "tty",
      "ulimit",
      "use-api-socket",
      "user",
      "userns",
      "uts",
      "volume",
      "volume-driver",
      "volumes-from",
      "workdir",
  };
  CLI::App app;
  app.set_help_flag();
  RunFlags declared;
  DeclareRunFlags(app, declared, RunVerb::kRun, nullptr);
  for (const std::string& flag : flags) {
    EXPECT_NE(app.get_option_no_throw("--" + flag), nullptr) << flag;
  }
  for (const RunFlagSpec& spec : RunFlagTable()) {
    EXPECT_NE(spec.flag == RunFlag::kRefused, spec.reason.empty()) << spec.names;
  }
}

TEST(RunRefusals, CreateHasNoFlagsOfTheForeground) {
  for (const char* flag : {"-d", "--detach-keys=x", "--sig-proxy"}) {
    EXPECT_FALSE(Parse({flag, "image"}, RunVerb::kCreate)) << flag;
    EXPECT_TRUE(Parse({flag, "image"}, RunVerb::kRun)) << flag;
  }
  EXPECT_EQ(Parse({}, RunVerb::kCreate).error().message(),
            "'hull create' requires at least 1 argument");
}

TEST(RunFiles, VariablesOfFilesComeBeforeThoseOfFlags) {
  const TextFile file("A=1\n  B=2 \n#c\n\nUNSET\nB=3\r\n");
  const Result<RunRequest> request = Parse(
      {"-e", "A=9", "--env-file", file.path(), "--label-file", file.path(), "-l", "B", "image"});
  ASSERT_TRUE(request) << request.error().ToString();
  EXPECT_EQ(request->container.environment, (List{"A=1", "B=2 ", "B=3", "A=9"}));
  EXPECT_EQ(request->container.labels, (List{"A=1", "B=2 ", "B=3", "B="}));
}

TEST(RunFiles, AWrongLineIsNamedAsDockerDoes) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"C D=3\n", "variable 'C D' contains whitespaces"},
      {"A=1\n=x\n", "no variable name on line '=x'"},
      {"\xff\xfe=1\n", "invalid utf8 bytes at line 1: [255 254 61 49]"},
      {"A=1\n" + std::string(70'000, 'x') + "\n", "bufio.Scanner: token too long"},
  };
  for (const auto& [text, words] : table) {
    const TextFile file(text);
    EXPECT_EQ(Refusal({"--env-file", file.path()}),
              fmt::format("invalid env file ({}): {}", file.path(), words));
  }
}

TEST(RunFiles, AByteOrderMarkIsNotPartOfAName) {
  const TextFile file(
      "\xef\xbb\xbf"
      "A=1\n");
  EXPECT_EQ(Parse({"--env-file", file.path(), "image"})->container.environment, (List{"A=1"}));
}

TEST(RunFiles, AProfileThatIsNoJsonIsRefused) {
  const TextFile file("A=1\n");
  EXPECT_EQ(
      Refusal({"--security-opt", "seccomp=" + file.path()})
          .find(fmt::format("compacting json for seccomp profile ({}) failed: ", file.path())),
      0U);
}

TEST(RunValues, EveryFlagReachesTheRequest) {
  const Result<RunRequest> parsed = Parse({"-d",
                                           "--detach-keys",
                                           "ctrl-x",
                                           "--sig-proxy=false",
                                           "-q",
                                           "--platform",
                                           "linux/amd64",
                                           "--pull=never",
                                           "--cidfile",
                                           "/c",
                                           "--init",
                                           "--group-add",
                                           "audio",
                                           "--group-add",
                                           "7",
                                           "--domainname",
                                           "d.example",
                                           "--stop-signal",
                                           "SIGUSR1",
                                           "--stop-timeout",
                                           "-1",
                                           "--cap-add",
                                           "net_admin",
                                           "--cap-drop",
                                           "ALL",
                                           "--privileged",
                                           "--security-opt",
                                           "no-new-privileges",
                                           "--tmpfs",
                                           "/a:size=1m",
                                           "--tmpfs",
                                           "/b",
                                           "--tmpfs",
                                           "/a:mode=700",
                                           "--ulimit",
                                           "nofile=1:2",
                                           "--ulimit",
                                           "core=infinity",
                                           "--ulimit",
                                           "nofile=3",
                                           "--sysctl",
                                           "net.a=1",
                                           "--sysctl",
                                           "kernel.shmmax=5",
                                           "--sysctl",
                                           "net.a=2",
                                           "--annotation",
                                           "x=y=z",
                                           "--annotation",
                                           "only",
                                           "--shm-size",
                                           "1m",
                                           "--pids-limit",
                                           "9",
                                           "--memory-swap",
                                           "-1",
                                           "--memory-reservation",
                                           "8m",
                                           "-c",
                                           "512",
                                           "--cpu-period",
                                           "5000",
                                           "--cpu-quota",
                                           "2500",
                                           "--cpuset-cpus",
                                           "0-1",
                                           "--oom-score-adj",
                                           "-5",
                                           "--log-opt",
                                           "max-size=2m",
                                           "--log-opt",
                                           "max-file=4",
                                           "--ipc",
                                           "none",
                                           "image",
                                           "a\xff"});
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_TRUE(parsed->detach);
  EXPECT_TRUE(parsed->quiet);
  EXPECT_FALSE(parsed->signal_proxy);
  EXPECT_EQ(parsed->detach_keys, "ctrl-x");
  EXPECT_EQ(parsed->platform, "linux/amd64");
  EXPECT_EQ(parsed->pull, PullPolicy::kNever);
  EXPECT_EQ(parsed->cidfile, "/c");
  const ContainerOptions& container = parsed->container;
  EXPECT_EQ(container.attach, (AttachedStreams{.input = false, .output = false, .errors = false}));
  EXPECT_EQ(container.init, true);
  EXPECT_EQ(container.additional_groups, (List{"audio", "7"}));
  EXPECT_EQ(container.domainname, "d.example");
  EXPECT_EQ(container.stop_signal, "SIGUSR1");
  EXPECT_EQ(container.stop_timeout_s, -1);
  EXPECT_EQ(container.security.added_capabilities, (List{"net_admin"}));
  EXPECT_EQ(container.security.dropped_capabilities, (List{"ALL"}));
  EXPECT_TRUE(container.security.privileged);
  EXPECT_TRUE(container.security.no_new_privileges);
  EXPECT_EQ(container.tmpfs, (std::vector<TmpfsMount>{{"/a", "mode=700"}, {"/b", ""}}));
  EXPECT_EQ(container.limits.resources,
            (std::vector<ResourceLimit>{{"core", -1, -1}, {"nofile", 3, 3}}));
  EXPECT_EQ(container.sysctls, (std::vector<NameValue>{{"net.a", "2"}, {"kernel.shmmax", "5"}}));
  EXPECT_EQ(container.annotations, (std::vector<NameValue>{{"x", "y=z"}, {"only", ""}}));
  EXPECT_EQ(container.limits.shm_bytes, 1U << 20U);
  EXPECT_EQ(container.limits.pids, 9);
  EXPECT_EQ(container.limits.memory_swap_bytes, -1);
  EXPECT_EQ(container.limits.memory_reservation_bytes, 8U << 20U);
  EXPECT_EQ(container.limits.cpu_shares, 512U);
  EXPECT_EQ(container.limits.cpu_period_us, 5000U);
  EXPECT_EQ(container.limits.cpu_quota_us, 2500);
  EXPECT_EQ(container.limits.cpuset_cpus, "0-1");
  EXPECT_EQ(container.limits.oom_score_adjustment, -5);
  EXPECT_EQ(container.log.max_bytes, 2U << 20U);
  EXPECT_EQ(container.log.max_files, 4U);
  EXPECT_EQ(container.ipc, IpcMode::kNone);
  EXPECT_EQ(container.command, (List{"a\xef\xbf\xbd"}));
}

TEST(RunValues, OfValuesTheLastCounts) {
  const Result<RunRequest> request = Parse(
      {"--name", "one", "--name", "two", "-m", "8m", "-m", "16m", "--rm", "--rm=false", "image"});
  ASSERT_TRUE(request) << request.error().ToString();
  EXPECT_EQ(request->container.name, "two");
  EXPECT_EQ(request->container.memory_bytes, 16U << 20U);
  EXPECT_FALSE(request->container.remove_at_exit);
}

TEST(RunValues, AttachNamesTheStreamsWanted) {
  EXPECT_EQ(Parse({"image"})->container.attach, (AttachedStreams{false, true, true}));
  EXPECT_EQ(Parse({"-i", "image"})->container.attach, (AttachedStreams{true, true, true}));
  EXPECT_EQ(Parse({"-a", "STDERR", "image"})->container.attach,
            (AttachedStreams{false, false, true}));
  EXPECT_EQ(Parse({"-a", "stdin", "-a", "stdout", "image"})->container.attach,
            (AttachedStreams{true, true, false}));
}

// Declaring a hundred options costs CLI11 more than the rest of a short run.
TEST(RunDeclaration, OnlyWhatIsMentionedIsDeclared) {
  const List arguments = {"--rm", "-it", "--env=A", "image"};
  CLI::App app;
  app.set_help_flag();
  RunFlags flags;
  DeclareRunFlags(app, flags, RunVerb::kRun, &arguments);
  EXPECT_EQ(app.get_options().size(), 4U);
  for (const char* name : {"--rm", "-i", "-t", "--env"}) {
    EXPECT_NE(app.get_option_no_throw(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace hull::cli
