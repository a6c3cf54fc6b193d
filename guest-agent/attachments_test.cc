#include "guest-agent/attachments.h"

#include <gtest/gtest.h>

namespace hull::agent {
namespace {

Attachments With(const std::vector<std::string>& names, const std::string& device = "/dev/vdb1") {
  Attachments attachments;
  for (const std::string& name : names) {
    v1::Attachment* attachment = attachments.Add();
    attachment->set_name(name);
    attachment->mutable_layer()->set_device(device);
  }
  return attachments;
}

TEST(AttachmentsTest, NamesAndDevicesAreChecked) {
  EXPECT_TRUE(ValidateAttachments({}).has_value());
  EXPECT_TRUE(
      ValidateAttachments(With({"a", "nvidia-libs_1.0", std::string(64, 'x')})).has_value());
  for (const char* name : {"", ".", "..", ".x", "a/b", "a b", "\x1b"}) {
    const Status status = ValidateAttachments(With({"good", name}));
    ASSERT_FALSE(status.has_value()) << name;
    EXPECT_NE(status.error().ToString().find("attachments[1].name"), std::string::npos);
  }
  EXPECT_FALSE(ValidateAttachments(With({std::string(65, 'x')})).has_value());
  EXPECT_FALSE(ValidateAttachments(With({"a", "a"})).has_value());
  EXPECT_FALSE(ValidateAttachments(With({"a"}, "/etc/passwd")).has_value());
  std::vector<std::string> many;
  for (int i = 0; i < 65; ++i) many.push_back(std::to_string(i));
  EXPECT_FALSE(ValidateAttachments(With(many)).has_value());
}

TEST(AttachmentsTest, NoneIsNothing) {
  EXPECT_TRUE(MountAttachments({}, "/no/such/directory").has_value());
  UnmountAttachments("/no/such/directory");
}

}  // namespace
}  // namespace hull::agent
