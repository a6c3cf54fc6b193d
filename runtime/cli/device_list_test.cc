#include "runtime/cli/device_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "runtime/devices/fake_host_fixture.h"

namespace hull::cli {
namespace {

using devices::FakeHost;
using testing::ElementsAre;
using testing::HasSubstr;

class DeviceListTest : public testing::Test {
 protected:
  DeviceListTest() {
    host_.MakeAble();
    host_.Write(
        "/usr/share/misc/pci.ids",
        "8086  Intel Corporation\n\t10d3  82574L Gigabit Network Connection\nC 01  Mass\n\t08  "
        "Non-Volatile memory controller\nC 02  Network\n\t00  Ethernet controller\n");
    host_.Add({.address = "0000:01:00.0", .group = 1});
    host_.Add({.address = "0000:02:00.0",
               .class_code = 0x020000,
               .device = 0x10d3,
               .driver = "vfio-pci",
               .group = 2,
               .total_vfs = 7});
    host_.Add({.address = "0000:03:00.0",
               .class_code = 0xff0000,
               .vendor = 0x1234,
               .driver = "",
               .group = 2,
               .resource = "",
               .reset_method = ""});
  }
  std::vector<std::string> Filtered(const std::vector<std::string>& filters) {
    const auto views = FilterDevices(ViewDevices(host_.tree()), filters);
    std::vector<std::string> addresses;
    if (!views) return {views.error().ToString()};
    for (const DeviceView& view : *views) addresses.push_back(view.device.address.ToString());
    return addresses;
  }
  std::string Shown(std::string_view format) {
    const auto text = FormatDevices(ViewDevices(host_.tree()), format, true);
    return text ? *text : text.error().ToString();
  }

  FakeHost host_;
};

TEST_F(DeviceListTest, TheTableHasWhatDecides) {
  const std::string table = Shown("");
  EXPECT_THAT(table, HasSubstr("ADDRESS        CLASS                      NAME"));
  EXPECT_THAT(table, HasSubstr("Intel Corporation 82574L Gigabit Network ...   vfio-pci   2 "
                               "+0000:03:00.0   16K       flr,bus   0/7       yes, bound\n"));
  EXPECT_THAT(table, HasSubstr("no: the kernel knows no way to reset it"));
  EXPECT_THAT(table, HasSubstr("Non-Volatile memory c...   Intel Corporation [8086:1234]"));
  EXPECT_THAT(table, HasSubstr("ff00"));
}

TEST_F(DeviceListTest, TemplatesAndJsonAreTaken) {
  EXPECT_EQ(Shown("{{.Address}} {{.ID}} {{.Bars}} {{.State}}"),
            "0000:01:00.0 8086:1234 16K host\n0000:02:00.0 8086:10d3 16K bound\n0000:03:00.0 "
            "1234:1234 - host\n");
  EXPECT_THAT(Shown("json"), HasSubstr("\"Reset\":\"flr,bus\""));
  EXPECT_THAT(Shown("{{.Nonsense}}"), HasSubstr("template"));
}

TEST_F(DeviceListTest, FiltersOfOneKeyAddUpAndOfSeveralNarrow) {
  EXPECT_THAT(Filtered({}), ElementsAre("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"));
  EXPECT_THAT(Filtered({"driver=nvme", "driver=vfio-pci"}),
              ElementsAre("0000:01:00.0", "0000:02:00.0"));
  EXPECT_THAT(Filtered({"vendor=intel", "group=2"}), ElementsAre("0000:02:00.0"));
  EXPECT_THAT(Filtered({"class=02"}), ElementsAre("0000:02:00.0"));
  EXPECT_THAT(Filtered({"class=volatile"}), ElementsAre("0000:01:00.0"));
  EXPECT_THAT(Filtered({"fit=false"}), ElementsAre("0000:03:00.0"));
  EXPECT_THAT(Filtered({"state=bound"}), ElementsAre("0000:02:00.0"));
  EXPECT_THAT(Filtered({"colour=red"}), ElementsAre("invalid filter 'colour=red'"));
  EXPECT_THAT(Filtered({"fit=maybe"}), ElementsAre("invalid filter 'fit=maybe'"));
  EXPECT_THAT(Filtered({"fit"}), ElementsAre(HasSubstr("invalid filter 'fit'")));
}

TEST_F(DeviceListTest, AnInterruptedBindShows) {
  ASSERT_TRUE(host_.tree().Write("/sys/bus/pci/devices/0000:01:00.0/driver_override", "vfio-pci"));
  EXPECT_THAT(Filtered({"state=unfinished"}), ElementsAre("0000:01:00.0"));
}

TEST_F(DeviceListTest, TheDescriptionHasNumbersAndObstacles) {
  const auto views = ViewDevices(host_.tree(), std::array{devices::PciAddress{0, 3, 0, 0}}).value();
  const boost::json::object object = DescribeDevice(views.front());
  EXPECT_EQ(object.at("VendorID").as_string(), "1234");
  EXPECT_EQ(object.at("IommuGroup").to_number<int>(), 2);
  EXPECT_EQ(object.at("Fit").as_bool(), false);
  EXPECT_THAT(boost::json::serialize(object.at("Obstacles")), HasSubstr("\"CanBeForced\":true"));
  EXPECT_FALSE(ViewDevices(host_.tree(), std::array{devices::PciAddress{0, 9, 0, 0}}));
}

}  // namespace
}  // namespace hull::cli
