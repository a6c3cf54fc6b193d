#include "runtime/passed_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace hull {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(PassedDevices, TheGuestsAddressesCountFromTheHostBridgeInHexadecimal) {
  EXPECT_EQ(GuestAddress(0), "0000:00:01.0");
  EXPECT_EQ(GuestAddress(8), "0000:00:09.0");
  EXPECT_EQ(GuestAddress(9), "0000:00:0a.0");
  EXPECT_EQ(GuestAddress(15), "0000:00:10.0");
}

PassedFunction Function(const std::string& address, const std::string& guest_address) {
  PassedFunction function;
  function.address = address;
  function.guest_address = guest_address;
  return function;
}

TEST(PassedDevices, WhatAGuestSaysIsCappedAndFitForATerminal) {
  agent::v1::CreateResponse response;
  agent::v1::DeviceReport* report = response.add_devices();
  report->set_address("0000:00:02.0");
  report->set_driver("dri\x1b[31mver" + std::string(100'000, 'x'));
  for (int i = 0; i < 5000; ++i) report->add_nodes("/dev/a\n");
  for (int i = 0; i < 5000; ++i) report->add_interfaces("eth\x07");
  // Of no device that it has.
  response.add_devices()->set_address("0000:00:1f.0");
  std::vector<PassedFunction> functions = {Function("0000:05:00.0", "0000:00:01.0"),
                                           Function("0000:06:00.0", "0000:00:02.0")};
  functions[0].driver = "of the run before";
  const std::vector<std::string> warnings = TakeReports(response, functions);
  EXPECT_EQ(functions[0].driver, "");
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_THAT(warnings[0], HasSubstr("device 0000:05:00.0 has no driver in the guest"));
  EXPECT_TRUE(functions[1].driver.starts_with("dri\\x1b[31mver"));
  EXPECT_LE(functions[1].driver.size(), 4 * 255U);
  EXPECT_EQ(functions[1].nodes.size(), 256U);
  EXPECT_EQ(functions[1].nodes[0].find('\n'), std::string::npos);
  EXPECT_EQ(functions[1].interfaces.size(), 256U);
  EXPECT_EQ(functions[1].interfaces[0].find('\x07'), std::string::npos);
}

TEST(PassedDevices, WhatAGrantBringsGoesOverAndBehindWhatIsThere) {
  devices::DeviceGrant grant;
  const std::string config =
      R"({"process":{"env":["A=1","AB=2"]},"mounts":[{"destination":"/proc"}]})";
  EXPECT_EQ(ApplyGrant(config, grant, "id").value(), config);
  grant.environment = {"A=cdi", "NEW="};
  grant.mounts.push_back({"/opt/driver", "/usr/lib/driver", "", {"ro"}});
  const json::value changed = json::parse(ApplyGrant(config, grant, "id").value());
  EXPECT_EQ(changed.at("process").at("env"), json::parse(R"(["A=cdi","AB=2","NEW="])"));
  EXPECT_EQ(changed.at("mounts"), json::parse(R"([{"destination":"/proc"},
      {"destination":"/usr/lib/driver","type":"bind",
       "source":"/run/hull/attachments/id/host-files/0",
       "options":["ro","nosuid","nodev","bind"]}])"));
  EXPECT_EQ(ApplyGrant("[]", grant, "id").error().code(), ErrorCode::kCorrupt);
  EXPECT_TRUE(ApplyGrant("{}", grant, "id"));
}

}  // namespace
}  // namespace hull
