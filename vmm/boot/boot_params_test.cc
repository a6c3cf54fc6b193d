#include "vmm/boot/boot_params.h"

#include <asm/bootparam.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace hull {
namespace {

class BootParamsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        memory_.AddRegion(*GuestRange::Make(GuestAddress(0), 1U << 20U), GuestAccess::kReadWrite));
  }
  BootParamsConfig Config() {
    BootParamsConfig config;
    config.address = GuestAddress(0x4000);
    config.limit = GuestAddress(0x9'0000);
    config.ram = {*GuestRange::Make(GuestAddress(0), 0xa'0000),
                  *GuestRange::Make(GuestAddress(0x10'0000), 0x700'0000)};
    config.command_line = "quiet ro";
    config.device_tree = std::as_bytes(std::span(tree_));
    config.random.fill(std::byte{0x5a});
    return config;
  }
  // The setup_data entry at an address: next, type, content.
  struct Setup {
    uint64_t next = 0;
    uint32_t type = 0;
    std::string content;
  };
  Setup ReadSetup(uint64_t address) {
    Setup setup;
    setup.next = memory_.ReadObject<uint64_t>(GuestAddress(address)).value();
    setup.type = memory_.ReadObject<uint32_t>(GuestAddress(address + 8)).value();
    const uint32_t size = memory_.ReadObject<uint32_t>(GuestAddress(address + 12)).value();
    setup.content.resize(size);
    EXPECT_TRUE(
        memory_.Read(GuestAddress(address + 16), std::as_writable_bytes(std::span(setup.content))));
    return setup;
  }

  GuestMemory memory_;
  std::string tree_ = "the tree, 21 bytes...";
};

TEST_F(BootParamsTest, LinuxFindsEverything) {
  const auto range = WriteBootParams(memory_, Config());
  ASSERT_TRUE(range.has_value()) << range.error().ToString();
  const auto page = memory_.ReadObject<boot_params>(GuestAddress(0x4000)).value();
  EXPECT_EQ(page.hdr.boot_flag, 0xaa55);
  EXPECT_EQ(std::memcmp(&page.hdr.header, "HdrS", 4), 0);
  EXPECT_EQ(page.sentinel, 0);
  ASSERT_EQ(page.e820_entries, 2);
  EXPECT_EQ(page.e820_table[1].addr, 0x10'0000U);
  EXPECT_EQ(page.e820_table[1].size, 0x700'0000U);
  EXPECT_EQ(page.e820_table[1].type, 1U);
  char line[9] = {};
  ASSERT_TRUE(
      memory_.Read(GuestAddress(page.hdr.cmd_line_ptr), std::as_writable_bytes(std::span(line))));
  EXPECT_STREQ(line, "quiet ro");
  const Setup random = ReadSetup(page.hdr.setup_data);
  EXPECT_EQ(random.type, 9U);
  EXPECT_EQ(random.content, std::string(32, 0x5a));
  const Setup tree = ReadSetup(random.next);
  EXPECT_EQ(tree.type, 2U);
  EXPECT_EQ(tree.content, tree_);
  EXPECT_EQ(tree.next, 0U);
  EXPECT_EQ(random.next % 16, 0U);
  EXPECT_EQ(range->end().value(), random.next + 16 + tree_.size());
}

TEST_F(BootParamsTest, WhatDoesNotFitIsRefused) {
  BootParamsConfig config = Config();
  config.limit = GuestAddress(0x5000);
  EXPECT_FALSE(WriteBootParams(memory_, config).has_value());
  config = Config();
  config.address = GuestAddress(0x20'0000);
  config.limit = GuestAddress(0x30'0000);
  EXPECT_FALSE(WriteBootParams(memory_, config).has_value());  // no memory there
  config = Config();
  const std::string line(2048, 'x');
  config.command_line = line;
  EXPECT_FALSE(WriteBootParams(memory_, config).has_value());
  config = Config();
  config.ram.assign(129, config.ram[0]);
  EXPECT_FALSE(WriteBootParams(memory_, config).has_value());
}

}  // namespace
}  // namespace hull
