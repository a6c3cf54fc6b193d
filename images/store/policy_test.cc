#include "images/store/policy.h"

#include <gtest/gtest.h>

namespace hull::images {
namespace {

TEST(Policy, OnlyAcceptingEverythingEverywhereCounts) {
  for (
      const char* text :
      {R"({"default":[{"type":"insecureAcceptAnything"}]})",
       R"({"default":[{"type":"insecureAcceptAnything"}],"transports":{}})",
       R"({"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker-daemon":{"":[{"type":"insecureAcceptAnything"}]}}})"}) {
    EXPECT_TRUE(AcceptsAnything(text)) << text;
  }
  for (
      const char* text :
      {"", "{}", "[]", R"({"default":[]})", R"({"default":[{"type":"reject"}]})",
       R"({"default":[{"type":"insecureAcceptAnything"},{"type":"signedBy"}]})",
       R"({"default":[{"type":"insecureAcceptAnything"}],"transports":{"oci":{"":[{"type":"reject"}]}}})",
       R"({"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"r.example":[{"type":"signedBy"}]}}})",
       R"({"default":[{"type":"insecureAcceptAnything"}],"transports":[]})"}) {
    EXPECT_FALSE(AcceptsAnything(text)) << text;
  }
}

TEST(Policy, NamedFileThatIsMissingDoesNotAccept) {
  EXPECT_FALSE(HostAcceptsAnything("/no/such/policy.json"));
}

}  // namespace
}  // namespace hull::images
