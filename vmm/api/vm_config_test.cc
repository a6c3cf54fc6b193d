#include "vmm/api/vm_config.h"

#include <gtest/gtest.h>

#include <string>

namespace hull::api {
namespace {

VmConfig FullConfig() {
  VmConfig config;
  config.name = "web-1";
  config.cpus = 4;
  config.memory_bytes = 6ULL << 30U;
  config.kernel = {.path = "vmlinux", .command_line = "quiet ro"};
  config.pmem = {{.id = "root", .path = "guest.erofs", .partitions = {}},
                 {.id = "layers",
                  .path = "",
                  .partitions = {{.name = "sha256:a", .path = "a"}, {.name = "b", .path = "b"}}}};
  config.block = {
      {.id = "scratch", .path = "s.img", .partitions = {}, .discard = true},
      {.id = "more", .path = "", .partitions = {{.name = "c", .path = "c"}}, .read_only = true}};
  config.vfio = {{.id = "disk", .device = "0000:01:00.0"},
                 {.id = "gpu", .device = "10000:af:1f.7"}};
  config.vsock = VsockConfig{.cid = 3, .path = "vsock.sock", .power_button_port = 1026};
  config.console = {.log = "console.log", .early = true};
  config.control = ControlConfig{.path = "control.sock"};
  return config;
}

constexpr const char kMinimal[] =
    R"("version":1,"name":"n","cpus":1,"memory_bytes":134217728,"kernel":{"path":"k"})";

std::string Document(const std::string& more) {
  return std::string("{") + kMinimal + (more.empty() ? "" : ",") + more + "}";
}

std::string WithDevice(uint64_t dma_pool_bytes) {
  return Document(fmt::format(
      R"("vfio":[{{"id":"a","device":"0000:01:00.0"}}],"dma_pool_bytes":{})", dma_pool_bytes));
}

TEST(VmConfigTest, WrittenConfigurationIsReadBackTheSame) {
  const VmConfig config = FullConfig();
  const auto read = ParseVmConfig(WriteVmConfig(config));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(*read, config);
}

TEST(VmConfigTest, OptionalPartsMayBeAbsent) {
  const auto read = ParseVmConfig(Document(""));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_TRUE(read->pmem.empty());
  EXPECT_TRUE(read->block.empty());
  EXPECT_FALSE(read->vsock.has_value());
  EXPECT_FALSE(read->control.has_value());
  EXPECT_EQ(read->kernel.command_line, "");
  EXPECT_EQ(ParseVmConfig(WriteVmConfig(*read)).value(), *read);
}

TEST(VmConfigTest, VfioDevicesAreAddressesThatAreThereOnce) {
  const auto error = [](const std::string& devices) {
    const auto read = ParseVmConfig(Document(R"("vfio":[)" + devices + "]"));
    return read ? std::string("none") : read.error().ToString();
  };
  EXPECT_EQ(error(R"({"id":"a","device":"0000:01:00.0"})"), "none");
  for (const char* const wrong :
       {"01:00.0", "0000:01:00.8", "0000:01:20.0", "0000:1:00.0", "0000-01:00.0", "../0000:01:00.0",
        "0000:01:00.0/", "0000:0A:00.0", "000:01:00.0", "123456789:01:00.0"}) {
    EXPECT_NE(
        error(std::string(R"({"id":"a","device":")") + wrong + R"("})").find("vfio[0].device"),
        std::string::npos)
        << wrong;
  }
  EXPECT_NE(error(R"({"id":"a","device":"0000:01:00.0"},{"id":"b","device":"0000:01:00.0"})")
                .find("vfio[1].device: is there twice"),
            std::string::npos);
  EXPECT_NE(error(R"({"id":"a","device":"0000:01:00.0"},{"id":"a","device":"0000:01:00.1"})")
                .find("vfio[1].id"),
            std::string::npos);
}

TEST(VmConfigTest, FreePageReportingIsReadBackAndExcludesVfio) {
  const auto read = ParseVmConfig(Document(R"("free_page_reporting":true)"));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_TRUE(read->free_page_reporting);
  EXPECT_EQ(ParseVmConfig(WriteVmConfig(*read)).value(), *read);
  EXPECT_FALSE(ParseVmConfig(Document(""))->free_page_reporting);
}

TEST(VmConfigTest, DmaPoolIsReadBackAndLetsPagesBeReported) {
  const auto read = ParseVmConfig(
      Document(R"("vfio":[{"id":"a","device":"0000:01:00.0"}],"dma_pool_bytes":67108864,)"
               R"("free_page_reporting":true)"));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->dma_pool_bytes, 64ULL << 20U);
  EXPECT_EQ(ParseVmConfig(WriteVmConfig(*read)).value(), *read);
  EXPECT_EQ(ParseVmConfig(Document(""))->dma_pool_bytes, 0U);
}

TEST(VmConfigTest, ExampleOfTheArchitecturePageIsValid) {
  const auto read = ParseVmConfig(R"({
  "version": 1,
  "name": "web",
  "cpus": 1,
  "memory_bytes": 134217728,
  "kernel": {"path": "vmlinux", "command_line": "root=/dev/pmem0 rootfstype=erofs ro"},
  "pmem": [
    {"id": "root", "path": "guest.erofs"},
    {"id": "layers", "partitions": [{"name": "sha256:...", "path": "layer0.erofs"}]}
  ],
  "block": [{"id": "scratch", "path": "scratch.img", "read_only": false, "discard": true}],
  "vfio": [{"id": "disk", "device": "0000:01:00.0"}],
  "vsock": {"cid": 3, "path": "vsock.sock", "power_button_port": 1026},
  "console": {"log": "console.log"},
  "control": {"path": "control.sock"}
})");
  EXPECT_TRUE(read.has_value()) << read.error().ToString();
}

struct BadDocument {
  std::string text;
  const char* error;  // what the message must contain: the field's path and the fault
};

void ExpectRefused(const BadDocument& bad) {
  const auto read = ParseVmConfig(bad.text);
  ASSERT_FALSE(read.has_value()) << bad.text;
  EXPECT_EQ(read.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(read.error().ToString().find(bad.error), std::string::npos)
      << bad.text << "\n  gave: " << read.error().ToString() << "\n  not:  " << bad.error;
}

TEST(VmConfigTest, BadTopLevelFieldsAreRefusedByPath) {
  const BadDocument documents[] = {
      {"", "ends too early"},
      {"{", "ends too early"},
      {"{]", "not JSON at byte 1"},
      {"null", "should be an object, is null"},
      {"[]", "should be an object, is an array"},
      {"{} {}", "text behind the JSON document"},
      {"{}", "version: is missing"},
      {R"({"version":2})", "version: 2 is not a whole number from 1 to 1"},
      {R"({"version":"1"})", "version: should be a whole number, is a string"},
      {R"({"version":1})", "name: is missing"},
      {R"({"version":1,"name":""})", "name: is empty"},
      {R"({"version":1,"name":"a/b"})", "name: may have only letters"},
      {R"({"version":1,"name":"n"})", "cpus: is missing"},
      {R"({"version":1,"name":"n","cpus":0})", "cpus: 0 is not a whole number from 1 to 32"},
      {R"({"version":1,"name":"n","cpus":33})", "cpus: 33 is not"},
      {R"({"version":1,"name":"n","cpus":-1})", "cpus: -1 is not"},
      {R"({"version":1,"name":"n","cpus":1.5})", "cpus: 1.5E0 is not"},
      {R"({"version":1,"name":"n","cpus":true})", "cpus: should be a whole number, is true or f"},
      {R"({"version":1,"name":"n","cpus":1})", "memory_bytes: is missing"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":4096})", "memory_bytes: 4096 is not"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217729})",
       "memory_bytes: 134217729 is not a multiple of 4096"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":18446744073709547520})",
       "memory_bytes: 18446744073709547520 is not"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217728})", "kernel: is missing"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217728,"kernel":"k"})",
       "kernel: should be an object, is a string"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217728,"kernel":{}})",
       "kernel.path: is missing"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217728,"kernel":{"path":"a\u0000b"}})",
       "kernel.path: contains a NUL"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217728,)"
       R"("kernel":{"path":"k","command_line":"a\nb"}})",
       "kernel.command_line: contains a line break"},
      {R"({"version":1,"name":"n","cpus":1,"memory_bytes":134217728,)"
       R"("kernel":{"path":"k","command_line":")" +
           std::string(kMaxCommandLineBytes + 1, 'x') + "\"}}",
       "kernel.command_line: has 1537 bytes"},
      {Document(R"("extra":1)"), "unknown field \"extra\""},
      {Document(R"("ex\u001b[2Jtra":1)"), "unknown field \"ex\\x1b[2Jtra\""},
      {Document(R"("control":{})"), "control.path: is missing"},
      {Document(R"("control":{"path":")" + std::string(108, 'x') + "\"}"),
       "control.path: has 108 bytes, should have 1 to 107"},
      {Document(R"("control":null)"), "control: should be an object, is null"},
      {Document(R"("free_page_reporting":1)"), "free_page_reporting: should be true or false"},
      {Document(R"("free_page_reporting":true,"vfio":[{"id":"a","device":"0000:01:00.0"}])"),
       "free_page_reporting: cannot be with vfio devices"},
      {Document(R"("dma_pool_bytes":16777216)"), "dma_pool_bytes: is for vfio devices"},
      {WithDevice(1048576), "dma_pool_bytes: 1048576 is not a whole number from 2097152"},
      {WithDevice(0), "dma_pool_bytes: 0 is not a whole number from 2097152"},
      {WithDevice(268435456 + 1048576), "dma_pool_bytes: 269484032 is not a whole number from"},
      {WithDevice(16777216 + 4096), "dma_pool_bytes: 16781312 is not a multiple of 1048576"},
      {WithDevice(68157440), "dma_pool_bytes: 68157440 is more than half of the memory, 134217728"},
      {Document(R"("console":{"early":1})"), "console.early: should be true or false"},
      {Document(R"("console":{"log":""})"), "console.log: is empty"},
      {std::string(kMaxConfigBytes + 1, ' '), "bytes are more than the"},
      {std::string(20, '[') + std::string(20, ']'), "not JSON at byte"},
  };
  for (const BadDocument& bad : documents) ExpectRefused(bad);
}

TEST(VmConfigTest, BadDevicesAreRefusedByPath) {
  const BadDocument documents[] = {
      {Document(R"("pmem":{})"), "pmem: should be an array, is an object"},
      {Document(R"("pmem":[1])"), "pmem[0]: should be an object, is a number"},
      {Document(R"("pmem":[{"id":"a","path":"p"},{"id":"b"}])"),
       "pmem[1]: has neither \"path\" nor \"partitions\""},
      {Document(R"("pmem":[{"id":"a","path":"p","partitions":[{"name":"x","path":"y"}]}])"),
       "pmem[0]: has both \"path\" and \"partitions\""},
      {Document(R"("pmem":[{"path":"p"}])"), "pmem[0].id: is missing"},
      {Document(R"("pmem":[{"id":"a b","path":"p"}])"), "pmem[0].id: may have only"},
      {Document(R"("pmem":[{"id":"aaaaaaaaaaaaaaaaaaaaa","path":"p"}])"), "pmem[0].id: has 21"},
      {Document(R"("pmem":[{"id":"a","path":"p"},{"id":"a","path":"p"}])"),
       "pmem[1].id: \"a\" is the id of another device"},
      {Document(R"("pmem":[{"id":"a","path":"p"}],"block":[{"id":"a","path":"p"}])"),
       "block[0].id: \"a\" is the id of another device"},
      {Document(R"("pmem":[{"id":"a","partitions":[]}])"), "pmem[0].partitions: has 0 elements"},
      {Document(R"("pmem":[{"id":"a","partitions":[{"name":"x"}]}])"),
       "pmem[0].partitions[0].path: is missing"},
      {Document(R"("pmem":[{"id":"a","path":"p","read_only":true}])"),
       "pmem[0]: unknown field \"read_only\""},
      {Document(R"("block":[{"id":"a"}])"), "block[0]: has neither"},
      {Document(R"("block":[{"id":"a","path":""}])"), "block[0].path: is empty"},
      {Document(R"("block":[{"id":"a","partitions":[{"name":"x","path":"y"}]}])"),
       "block[0].read_only: must be true for a device with partitions"},
      {Document(R"("block":[{"id":"a","path":"p","read_only":true,"discard":true}])"),
       "block[0].discard: makes no sense"},
      {Document(R"("vsock":{"cid":2,"path":"p"})"), "vsock.cid: 2 is not a whole number from 3"},
      {Document(R"("vsock":{"cid":4294967295,"path":"p"})"), "vsock.cid: 4294967295 is not"},
      {Document(R"("vsock":{"cid":3})"), "vsock.path: is missing"},
      {Document(R"("vsock":{"cid":3,"path":"p","power_button_port":0})"),
       "vsock.power_button_port: 0 is not"},
      {Document(R"("vsock":{"cid":3,"path":")" + std::string(97, 'x') + "\"}"),
       "vsock.path: has 97 bytes, should have 1 to 96"},
  };
  for (const BadDocument& bad : documents) ExpectRefused(bad);
}

TEST(VmConfigTest, TooManyDevicesAndPartitionsAreRefused) {
  std::string devices;
  for (int i = 0; i < 9; ++i) {
    devices += fmt::format(R"({}{{"id":"d{}","path":"p"}})", i == 0 ? "" : ",", i);
  }
  ExpectRefused({Document("\"pmem\":[" + devices + "]"), "pmem: has 9 elements"});
  ExpectRefused({Document("\"block\":[" + devices + "]"), "block: has 9 elements"});
  std::string partitions;
  for (int i = 0; i < 256; ++i) {
    partitions += fmt::format(R"({}{{"name":"n","path":"p"}})", i == 0 ? "" : ",");
  }
  ExpectRefused({Document(R"("pmem":[{"id":"a","partitions":[)" + partitions + "]}]"),
                 "pmem[0].partitions: has 256 elements, should have 1 to 255"});
}

}  // namespace
}  // namespace hull::api
