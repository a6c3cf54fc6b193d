#include "runtime/cli/run_options.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "runtime/cli/arguments.h"
#include "runtime/cli/units.h"

namespace hull::cli {
namespace {

// As `hull run` does it; the options are read while CLI11's object lives.
Result<RunRequest> Parse(const std::vector<std::string>& arguments, RunVerb verb = RunVerb::kRun) {
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
  return InterpretRunFlags(flags, split.rest, [](const char* name) -> const char* {
    return std::string_view(name) == "HOST_HAS" ? "yes" : nullptr;
  });
}

using List = std::vector<std::string>;

TEST(RunFlags, WhatFollowsTheImageIsTheContainers) {
  const Result<RunRequest> request = Parse({"--rm", "image", "ls", "-l", "--rm", "-e", "--", "x"});
  ASSERT_TRUE(request) << request.error().ToString();
  EXPECT_EQ(request->image, "image");
  EXPECT_EQ(request->container.command, (List{"ls", "-l", "--rm", "-e", "--", "x"}));
  EXPECT_TRUE(request->container.environment.empty());
  EXPECT_TRUE(request->container.remove_at_exit);
}
TEST(RunFlags, TwoDashesEndTheOptions) {
  const Result<RunRequest> request = Parse({"--rm", "--", "image", "--", "x"});
  ASSERT_TRUE(request) << request.error().ToString();
  EXPECT_EQ(request->image, "image");
  EXPECT_EQ(request->container.command, (List{"--", "x"}));
}
TEST(RunFlags, ValuesMayLookLikeOptions) {
  const Result<RunRequest> request = Parse({"-e", "A=-1", "--entrypoint", "-x", "image", "-y"});
  ASSERT_TRUE(request) << request.error().ToString();
  EXPECT_EQ(request->container.entrypoint, "-x");
  EXPECT_EQ(request->container.command, (List{"-y"}));
}
TEST(RunFlags, UnknownOnesAreNamedAsDockerDoes) {
  EXPECT_EQ(Parse({"--nope", "image"}).error().message(), "unknown flag: --nope");
  EXPECT_EQ(Parse({"-i5", "image"}).error().message(), "unknown shorthand flag: '5' in -5");
  EXPECT_EQ(Parse({"--name"}).error().message(), "flag needs an argument: --name");
}
TEST(RunFlags, OneDashFlagsCombine) {
  const Result<RunRequest> request = Parse({"-it", "image"});
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->container.interactive);
  EXPECT_TRUE(request->container.terminal);
  EXPECT_FALSE(request->container.remove_at_exit);
}
TEST(RunFlags, EachOptionTakesOneValue) {
  const Result<RunRequest> request =
      Parse({"-e", "A=1", "-e", "B", "--env=HOST_HAS", "-eC=3", "-w", "/w", "-u", "1:2", "-h",
             "box", "--entrypoint", "sh", "--name", "n1", "image", "cmd"});
  ASSERT_TRUE(request) << request.error().ToString();
  const ContainerOptions& container = request->container;
  EXPECT_EQ(container.environment, (List{"A=1", "B", "HOST_HAS=yes", "C=3"}));
  EXPECT_EQ(container.working_directory, "/w");
  EXPECT_EQ(container.user, "1:2");
  EXPECT_EQ(container.hostname, "box");
  EXPECT_EQ(container.entrypoint, "sh");
  EXPECT_EQ(container.name, "n1");
  EXPECT_EQ(container.command, (List{"cmd"}));
}
TEST(RunFlags, EmptyEntryPointIsNotAbsent) {
  EXPECT_EQ(Parse({"--entrypoint=", "image"}).value().container.entrypoint, "");
  EXPECT_EQ(Parse({"--entrypoint", "", "image"}).value().container.entrypoint, "");
  EXPECT_FALSE(Parse({"image"})->container.entrypoint);
}
TEST(RunFlags, FlagsCanBeSaidFalse) {
  EXPECT_FALSE(Parse({"--rm=false", "image"})->container.remove_at_exit);
  EXPECT_TRUE(Parse({"--rm=true", "image"})->container.remove_at_exit);
}
TEST(RunFlags, LimitsAreRead) {
  const Result<RunRequest> request = Parse({"--cpus", "1.5", "-m", "512m", "image"});
  EXPECT_EQ(request->container.nano_cpus, 1'500'000'000U);
  EXPECT_EQ(request->container.memory_bytes, 512U << 20U);
  const Result<RunRequest> none = Parse({"--cpus", "0", "--memory", "0", "image"});
  EXPECT_FALSE(none->container.nano_cpus);
  EXPECT_FALSE(none->container.memory_bytes);
}
TEST(RunFlags, StorageIsRead) {
  const StorageOptions storage = Parse({"--storage", "tmpfs=64m", "image"})->container.storage;
  EXPECT_EQ(storage.kind, StorageKind::kTmpfs);
  EXPECT_EQ(storage.size_bytes, 64U << 20U);
  EXPECT_EQ(Parse({"--storage", "disk", "image"})->container.storage.size_bytes, 0U);
  EXPECT_EQ(Parse({"--storage-opt", "size=1g", "image"})->container.storage.size_bytes, 1U << 30U);
}
TEST(RunFlags, WrongValuesAreRefused) {
  const std::vector<List> wrong = {
      {},
      {"--name", "a b", "image"},
      {"--name", "x", "image"},
      {"--name", "/x", "image"},
      {"-e", "=x", "image"},
      {"--cpus", "x", "image"},
      {"--cpus", "-1", "image"},
      {"-m", "12q", "image"},
      {"--storage", "floppy", "image"},
      {"--storage", "disk=1k", "image"},
      {"--hostname", "-x", "image"},
      {"--hostname", "a b", "image"},
      {"--pull", "sometimes", "image"},
  };
  for (const List& arguments : wrong) {
    const Result<RunRequest> request = Parse(arguments);
    ASSERT_FALSE(request) << (arguments.empty() ? "(nothing)" : arguments[0] + " " + arguments[1]);
    EXPECT_EQ(request.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Units, BytesAreOf1024) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {{"0", 0},
                                                               {"1048576", 1048576},
                                                               {"1b", 1},
                                                               {"4k", 4096},
                                                               {"4KB", 4096},
                                                               {"4KiB", 4096},
                                                               {"512m", 512U << 20U},
                                                               {"1.5g", 1536U << 20U},
                                                               {"1 g", 1U << 30U},
                                                               {"2t", 2ULL << 40U},
                                                               {"0.5k", 512},
                                                               {".5k", 512}};
  for (const auto& [text, bytes] : cases) {
    const Result<uint64_t> got = ParseBytes(text);
    ASSERT_TRUE(got) << text;
    EXPECT_EQ(*got, bytes) << text;
  }
  for (const char* text :
       {"", "m", "-1", "1x", "1.m", ".m", "1..5", "1e3", "0x10", "99999999999999p", "1bb", "1kx"}) {
    EXPECT_FALSE(ParseBytes(text)) << text;
  }
}
TEST(Units, CpusAreDecimals) {
  EXPECT_EQ(ParseNanoCpus("1.5").value(), 1'500'000'000U);
  EXPECT_EQ(ParseNanoCpus("0.01").value(), 10'000'000U);
  EXPECT_EQ(ParseNanoCpus(".5").value(), 500'000'000U);  // docker's manual has it
  EXPECT_EQ(ParseNanoCpus("32").value(), 32'000'000'000U);
  for (const char* text :
       {"", ".", "1.", "x", "1,5", "-1", "1.0000000001", "99999999999999999999"}) {
    EXPECT_FALSE(ParseNanoCpus(text)) << text;
  }
}

}  // namespace
}  // namespace hull::cli
