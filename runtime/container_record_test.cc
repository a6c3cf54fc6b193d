#include "runtime/container_record.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace hull {
namespace {

ContainerRecord Full() {
  ContainerRecord record;
  record.id = std::string(64, 'a');
  record.name = "n";
  record.image = "image \"quoted\"";
  record.image_id = "sha256:" + std::string(64, 'b');
  record.created_at_ns = 1'700'000'000'000'000'000;
  record.remove_at_exit = true;
  record.process = {true, true, "1:2", {"audio"}, {"sh", "-c", "x y"}, "SIGINT", -1};
  record.machine = {2, 1ULL << 40, {StorageKind::kTmpfs, 7}, LayerTransport::kBlock, {"l"}, true};
  record.devices = {{"pci=01:00.0"}, {"all"}, {"bochs"}, 16U << 20U};
  record.passed = {
      {"0000:01:00.0", 7, 0x8086, 0x10d3, "0000:00:01.0", "e1000e", {}, {"eth0"}, {}},
      {"0000:02:00.0", 8, 0x1b36, 0x0010, "0000:00:02.0", "nvme", {"/dev/nvme0"}, {}, 5}};
  record.log = {5, 1, true};
  record.labels = {"a=b", "c="};
  record.shown["Config"] = {{"Image", "x"}};
  record.state = {ContainerStatus::kPaused, 1, 2, 137, true, "why", 3};
  return record;
}

TEST(ContainerRecord, ReadsBackWhatWasWritten) {
  const ContainerRecord record = Full();
  const ContainerRecord read = ParseContainerRecord(WriteContainerRecord(record)).value();
  EXPECT_EQ(read.id, record.id);
  EXPECT_EQ(read.name, record.name);
  EXPECT_EQ(read.image, record.image);
  EXPECT_EQ(read.image_id, record.image_id);
  EXPECT_EQ(read.created_at_ns, record.created_at_ns);
  EXPECT_EQ(read.remove_at_exit, record.remove_at_exit);
  EXPECT_EQ(read.process, record.process);
  EXPECT_EQ(read.machine, record.machine);
  EXPECT_EQ(read.devices, record.devices);
  EXPECT_EQ(read.passed, record.passed);
  EXPECT_EQ(read.log, record.log);
  EXPECT_EQ(read.labels, record.labels);
  EXPECT_EQ(boost::json::serialize(read.shown), boost::json::serialize(record.shown));
  EXPECT_EQ(read.state, record.state);
}

TEST(ContainerRecord, WhatIsAbsentStaysAbsent) {
  ContainerRecord record = Full();
  record.state.exit_code.reset();
  record.process.stop_timeout_s.reset();
  const ContainerRecord read = ParseContainerRecord(WriteContainerRecord(record)).value();
  EXPECT_EQ(read.state.exit_code, std::nullopt);
  EXPECT_EQ(read.process.stop_timeout_s, std::nullopt);
}

TEST(ContainerRecord, AMissingOrWrongFieldIsCorrupt) {
  const std::string text = WriteContainerRecord(Full());
  const boost::json::object whole = boost::json::parse(text).as_object();
  for (const auto& [name, value] : whole) {
    boost::json::object less = whole;
    less.erase(name);
    EXPECT_EQ(ParseContainerRecord(boost::json::serialize(less)).error().code(),
              ErrorCode::kCorrupt)
        << name;
    boost::json::object wrong = whole;
    wrong[name] = nullptr;
    EXPECT_EQ(ParseContainerRecord(boost::json::serialize(wrong)).error().code(),
              ErrorCode::kCorrupt)
        << name;
  }
  for (const char* other : {"", "[]", "{}", "nonsense", "{\"version\":2}"}) {
    EXPECT_FALSE(ParseContainerRecord(other)) << other;
  }
}

TEST(ContainerRecord, ANewerVersionIsUnsupported) {
  EXPECT_EQ(ParseContainerRecord("{\"version\":4}").error().code(), ErrorCode::kUnsupported);
}

TEST(ContainerRecord, OneOfTheVersionBeforeHasNoDevices) {
  boost::json::object old = boost::json::parse(WriteContainerRecord(Full())).as_object();
  old["version"] = 2;
  old.erase("devices");
  old.erase("passed");
  const Result<ContainerRecord> read = ParseContainerRecord(boost::json::serialize(old));
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->name, "n");
  EXPECT_FALSE(read->devices.Any());
  EXPECT_TRUE(read->passed.empty());
  old["version"] = 1;
  EXPECT_EQ(ParseContainerRecord(boost::json::serialize(old)).error().code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace hull
