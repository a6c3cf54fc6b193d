#include "guest-agent/oci.h"

#include <gtest/gtest.h>

#include <string>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace hull::agent {
namespace {

namespace json = boost::json;

json::object Object(std::string_view text) {
  return ParseObject(text, "test").value();
}

json::value At(const json::object& object, std::string_view pointer) {
  json::error_code failed;
  const json::value whole = object;
  const json::value* found = whole.find_pointer(pointer, failed);
  return found == nullptr ? json::value("<none>") : *found;
}

constexpr std::string_view kConfig = R"({
  "ociVersion": "1.0.2",
  "hostname": "web",
  "root": {"path": "elsewhere"},
  "process": {"args": ["sh"], "env": ["PATH=/bin"], "user": {"uid": 5, "gid": 6}, "terminal": true,
              "consoleSize": {"width": 1, "height": 2}},
  "annotations": {"kept": "yes"}
})";

TEST(OciTest, WhatIsNotAnObjectIsAnError) {
  for (const char* text : {"", "{", "[]", "1", "{\"a\":}", "{} x"}) {
    const auto result = ParseObject(text, "oci_config");
    ASSERT_FALSE(result.has_value()) << text;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_TRUE(result.error().message().starts_with("oci_config: ")) << result.error().message();
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "{\"a\":";
  EXPECT_FALSE(ParseObject(deep, "x").has_value());
}

TEST(OciTest, IdentityReplacesTheUserAndGivesAHome) {
  json::object process = *ProcessOf(*std::make_unique<json::object>(Object(kConfig))).value();
  ProcessPatch patch;
  patch.identity = Identity{.uid = 1000, .gid = 1001, .groups = {1001, 10}, .home = "/srv"};
  ASSERT_TRUE(PatchProcess(process, patch).has_value());
  EXPECT_EQ(json::serialize(process["user"]),
            R"({"uid":1000,"gid":1001,"additionalGids":[1001,10]})");
  EXPECT_EQ(json::serialize(process["env"]), R"(["PATH=/bin","HOME=/srv"])");
  EXPECT_EQ(OwnerOf(process).uid, 1000u);
  EXPECT_EQ(OwnerOf(process).gid, 1001u);
}

TEST(OciTest, HomeOfTheConfigurationWins) {
  json::object process = Object(R"({"args":["a"],"env":["HOMES=x","HOME=/mine"]})");
  ProcessPatch patch;
  patch.identity = Identity{};
  ASSERT_TRUE(PatchProcess(process, patch).has_value());
  EXPECT_EQ(json::serialize(process["env"]), R"(["HOMES=x","HOME=/mine"])");
  json::object other = Object(R"({"args":["a"],"env":["HOMES=x"]})");
  ASSERT_TRUE(PatchProcess(other, patch).has_value());
  EXPECT_EQ(json::serialize(other["env"]), R"(["HOMES=x","HOME=/"])");
}

TEST(OciTest, WithoutAnIdentityTheUserStandsAndGroupsAreAdded) {
  json::object process = Object(R"({"args":["a"],"user":{"uid":5,"gid":6,"additionalGids":[7]}})");
  ProcessPatch patch;
  patch.additional_groups = {8, 9};
  ASSERT_TRUE(PatchProcess(process, patch).has_value());
  EXPECT_EQ(json::serialize(process["user"]), R"({"uid":5,"gid":6,"additionalGids":[7,8,9]})");
  EXPECT_FALSE(process.contains("env"));
}

TEST(OciTest, TerminalIsWhatTheStreamsSay) {
  json::object process =
      Object(R"({"args":["a"],"terminal":true,"consoleSize":{"width":1,"height":2}})");
  ASSERT_TRUE(PatchProcess(process, {}).has_value());
  EXPECT_EQ(json::serialize(process), R"({"args":["a"],"terminal":false})");
  ProcessPatch patch;
  patch.terminal = true;
  patch.size.set_columns(80);
  patch.size.set_rows(24);
  ASSERT_TRUE(PatchProcess(process, patch).has_value());
  EXPECT_EQ(json::serialize(process),
            R"({"args":["a"],"terminal":true,"consoleSize":{"width":80,"height":24}})");
}

TEST(OciTest, ProcessWithoutACommandIsRefused) {
  for (const char* text : {R"({})", R"({"args":[]})", R"({"args":"sh"})", R"({"args":[1]})",
                           R"({"args":["a"],"user":3})", R"({"args":["a"],"env":{}})"}) {
    json::object process = Object(text);
    ProcessPatch patch;
    patch.identity = Identity{};
    EXPECT_FALSE(PatchProcess(process, patch).has_value()) << text;
  }
  json::object config = Object("{}");
  EXPECT_FALSE(ProcessOf(config).has_value());
}

TEST(OciTest, ConfigurationGetsItsRootCgroupAndFilesAndKeepsTheRest) {
  json::object config = Object(kConfig);
  ASSERT_TRUE(PatchConfig(config, {.rootfs = "/run/r",
                                   .read_only = false,
                                   .cgroup_path = "/web",
                                   .files = {{"/etc/hosts", "/run/hosts"}}})
                  .has_value());
  EXPECT_EQ(At(config, "/root/path"), json::value("/run/r"));
  EXPECT_EQ(At(config, "/root/readonly"), json::value("<none>"));
  EXPECT_EQ(CgroupPathOf(config), "/web");
  EXPECT_EQ(At(config, "/mounts/0/source"), json::value("/run/hosts"));
  EXPECT_EQ(At(config, "/mounts/0/options/2"), json::value("rw"));
  EXPECT_EQ(At(config, "/annotations/kept"), json::value("yes"));
  EXPECT_EQ(HostnameOf(config), "web");
}

TEST(OciTest, ReadOnlyRootMakesTheFilesReadOnly) {
  json::object config = Object(kConfig);
  ASSERT_TRUE(PatchConfig(config, {.rootfs = "/r",
                                   .read_only = true,
                                   .cgroup_path = "/c",
                                   .files = {{"/etc/hosts", "/run/hosts"}}})
                  .has_value());
  EXPECT_EQ(At(config, "/root/readonly"), json::value(true));
  EXPECT_EQ(At(config, "/mounts/0/options/2"), json::value("ro"));
}

TEST(OciTest, MountsOfTheConfigurationWin) {
  json::object config = Object(R"({"mounts":[{"destination":"/etc/hosts/","source":"/mine"}]})");
  ASSERT_TRUE(PatchConfig(config, {.rootfs = "/r",
                                   .read_only = false,
                                   .cgroup_path = "/c",
                                   .files = {{"/etc/hosts", "/run/hosts"}}})
                  .has_value());
  EXPECT_EQ(config["mounts"].get_array().size(), 1u);
}

TEST(OciTest, CgroupPathStaysBelowTheRoot) {
  json::object given = Object(R"({"linux":{"cgroupsPath":"a/b"}})");
  ASSERT_TRUE(
      PatchConfig(given, {.rootfs = "/r", .read_only = false, .cgroup_path = "/c", .files = {}})
          .has_value());
  EXPECT_EQ(CgroupPathOf(given), "/a/b");
  for (const char* path : {"..", "/a/../b", "a/..", "/../.."}) {
    json::object config = Object(std::string(R"({"linux":{"cgroupsPath":")") + path + R"("}})");
    EXPECT_FALSE(
        PatchConfig(config, {.rootfs = "/r", .read_only = false, .cgroup_path = "/c", .files = {}})
            .has_value())
        << path;
  }
}

TEST(OciTest, PartsOfWrongTypesAreRefused) {
  for (const char* text : {R"({"root":1})", R"({"linux":[]})", R"({"mounts":{}})"}) {
    json::object config = Object(text);
    EXPECT_FALSE(
        PatchConfig(config, {.rootfs = "/r", .read_only = false, .cgroup_path = "/c", .files = {}})
            .has_value())
        << text;
  }
}

TEST(OciTest, ExecTakesWhatItDoesNotSayFromTheContainerButNeverTheCommand) {
  const json::object base =
      Object(R"({"args":["sleep"],"cwd":"/srv","env":["A=1"],"user":{"uid":5}})");
  const json::object merged = MergeProcess(base, Object(R"({"args":["ps"],"cwd":"/"})"));
  EXPECT_EQ(CommandOf(merged), "ps");
  EXPECT_EQ(merged.at("cwd"), json::value("/"));
  EXPECT_EQ(json::serialize(merged.at("env")), R"(["A=1"])");
  json::object none = MergeProcess(base, Object("{}"));
  EXPECT_FALSE(PatchProcess(none, {}).has_value());
}

TEST(OciTest, HooksAreSeen) {
  const json::object config = Object(R"({"hooks":{"poststart":[{"path":"/x"}],"poststop":[]}})");
  EXPECT_TRUE(HasHooks(config, "poststart"));
  EXPECT_FALSE(HasHooks(config, "poststop"));
  EXPECT_FALSE(HasHooks(Object("{}"), "poststart"));
}

}  // namespace
}  // namespace hull::agent
