#include "runtime/copy_paths.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

struct Case {
  const char* source;
  bool source_is_directory;
  const char* destination;
  PathState state;
  const char* directory;  // null: refused
  const char* name;
};

constexpr PathState kMissing{};
constexpr PathState kFile{true, false};
constexpr PathState kDirectory{true, true};

TEST(PlanCopy, DockersTable) {
  for (const Case& test : {
           Case{"/s/f", false, "/d/n", kMissing, "/d", "n"},
           Case{"/s/f", false, "/d/n/", kMissing, nullptr, "no such directory"},
           Case{"/s/f", false, "/d/n/.", kMissing, nullptr, "no such directory"},
           Case{"/s/f", false, "/d/g", kFile, "/d", "g"},
           Case{"/s/f", false, "/d/g/", kFile, nullptr, "not a directory: /d/g/"},
           Case{"/s/f", false, "/d", kDirectory, "/d", "f"},
           Case{"/s/f", false, "/d/", kDirectory, "/d/", "f"},
           Case{"/s/f/", false, "/d", kDirectory, nullptr, "not a directory: /s/f/"},
           Case{"/s/e", true, "/d/n", kMissing, "/d", "n"},
           Case{"/s/e", true, "/d/n/", kMissing, "/d", "n"},
           Case{"/s/e/.", true, "/d/n", kMissing, "/d", "n"},
           Case{"/s/e", true, "/d/n/.", kMissing, "/d", "n"},
           Case{"/s/e", true, "/d/g", kFile, nullptr, "cannot copy directory"},
           Case{"/s/e", true, "/d", kDirectory, "/d", "e"},
           Case{"/s/e/", true, "/d", kDirectory, "/d", "e"},
           Case{"/s/e/.", true, "/d", kDirectory, "/d", "."},
           Case{"/", true, "/d", kDirectory, "/d", "."},
           Case{"/f", false, "/n", kMissing, "/", "n"},
       }) {
    SCOPED_TRACE(fmt::format("{} to {}", test.source, test.destination));
    const auto plan = PlanCopy(test.source, test.source_is_directory, test.destination, test.state);
    ASSERT_EQ(plan.has_value(), test.directory != nullptr);
    if (!plan) {
      EXPECT_EQ(plan.error().message(), test.name);
      continue;
    }
    EXPECT_EQ(plan->directory, test.directory);
    EXPECT_EQ(plan->name, test.name);
  }
}

TEST(ParseCopyPlace, ContainerHostAndStream) {
  EXPECT_EQ(ParseCopyPlace("web:/srv").container, "web");
  EXPECT_EQ(ParseCopyPlace("web:/srv").path, "/srv");
  EXPECT_EQ(ParseCopyPlace("web:a:b").path, "a:b");
  for (const char* host : {"./web:/srv", "/tmp/web:/srv", "plain", "-", "a/b:c", ":x"}) {
    EXPECT_EQ(ParseCopyPlace(host).container, std::nullopt) << host;
    EXPECT_EQ(ParseCopyPlace(host).path, host);
  }
}

}  // namespace
}  // namespace hull
