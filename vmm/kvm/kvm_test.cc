#include "vmm/kvm/kvm.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

TEST(KvmTest, MissingDeviceSaysWhatToDo) {
  const auto kvm = Kvm::Open("/nonexistent/kvm");
  ASSERT_FALSE(kvm.has_value());
  EXPECT_EQ(kvm.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(kvm.error().hint().find("kvm-amd"), std::string::npos);
}

TEST(KvmTest, FileThatIsNotKvmIsRefused) {
  const auto kvm = Kvm::Open("/dev/null");
  ASSERT_FALSE(kvm.has_value());
  EXPECT_EQ(kvm.error().code(), ErrorCode::kUnsupported);
  EXPECT_NE(kvm.error().ToString().find("/dev/null is not KVM"), std::string::npos);
}

}  // namespace
}  // namespace hull
