#include "runtime/format/listing.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <array>

#include "runtime/format/human.h"

namespace hull::format {
namespace {

constexpr std::array kColumns = {Column{"ID", "CONTAINER ID"}, Column{"Names", "NAMES"}};
constexpr Listing kListing{kColumns, "{{.ID}}\t{{.Names}}"};

std::string Show(std::string_view format) {
  const std::vector<Row> rows = {
      {{{"ID", "1"}, {"Names", "web"}}, {{"tier", "front"}}},
      {{{"ID", "22"}, {"Names", "h\u00e9llo-world-of-containers"}}, {}},
  };
  const Result<std::string> shown = FormatRows(kListing, rows, format);
  return shown ? *shown : shown.error().ToString();
}

TEST(Listing, TheStandardTableHasDockersColumns) {
  for (const char* format : {"", "table", "table ", " table"}) {
    EXPECT_EQ(Show(format),
              "CONTAINER ID   NAMES\n"
              "1              web\n"
              "22             h\u00e9llo-world-of-containers\n")
        << format;
  }
}
TEST(Listing, ATableOfOnesOwn) {
  EXPECT_EQ(Show("table {{.Names}}\\t{{.ID}}"),
            "NAMES                       CONTAINER ID\n"
            "web                         1\n"
            "h\u00e9llo-world-of-containers   22\n");
  EXPECT_EQ(Show("table {{upper .Names}}\t{{.Label \"com.x.some-tier\"}}\t{{json .ID}}"),
            "NAMES                       some tier   \n"
            "WEB                                     \"1\"\n"
            "H\u00e9LLO-WORLD-OF-CONTAINERS               \"22\"\n");
  EXPECT_EQ(Show("table{{.ID}}"), "CONTAINER ID\n1\n22\n");
}
TEST(Listing, OneTemplateForEach) {
  EXPECT_EQ(Show("{{.ID}}={{.Label \"tier\"}};"), "1=front;\n22=;\n");
  EXPECT_EQ(Show("tables"), "tables\ntables\n");
  EXPECT_EQ(Show("a\\tb\\nc"), "a\tb\nc\na\tb\nc\n");
}
TEST(Listing, JsonIsOneObjectALine) {
  EXPECT_EQ(Show("json").substr(0, 27), "{\"ID\":\"1\",\"Names\":\"web\"}\n{\"");
}
TEST(Listing, AFieldThatThereIsNoneOfIsSaid) {
  EXPECT_EQ(
      Show("{{.Nope}}"),
      "template parsing error: template: :1:2: executing \"\" at <.Nope>: map has no entry for "
      "key \"Nope\"");
  EXPECT_EQ(Show("table {{.Nope}}"), Show("{{.Nope}}"));
}
TEST(Listing, ColumnsAreTenWideAtLeast) {
  EXPECT_EQ(AlignColumns("a\tb\tc\n"), "a         b         c\n");
  EXPECT_EQ(AlignColumns("1234567\tb\n"), "1234567   b\n");
  EXPECT_EQ(AlignColumns("12345678\tb\nx\n"), "12345678   b\nx\n");
}

TEST(Human, SizesHaveThreeDigits) {
  EXPECT_EQ(HumanSize(0), "0B");
  EXPECT_EQ(HumanSize(999), "999B");
  EXPECT_EQ(HumanSize(1000), "1kB");
  EXPECT_EQ(HumanSize(2023424), "2.02MB");
  EXPECT_EQ(HumanSize(123456789012), "123GB");
  EXPECT_EQ(HumanSize(UINT64_MAX), "18.4EB");
}
TEST(Human, DurationsAreRoundedAsDockerDoes) {
  const struct {
    int64_t seconds;
    const char* expected;
  } kCases[] = {{-5, "Less than a second"}, {0, "Less than a second"}, {1, "1 second"},
                {59, "59 seconds"},         {60, "About a minute"},    {119, "About a minute"},
                {120, "2 minutes"},         {3599, "59 minutes"},      {3600, "About an hour"},
                {5399, "About an hour"},    {5400, "2 hours"},         {47 * 3600, "47 hours"},
                {48 * 3600, "2 days"},      {13 * 86400, "13 days"},   {14 * 86400, "2 weeks"},
                {59 * 86400, "8 weeks"},    {60 * 86400, "2 months"},  {729 * 86400, "24 months"},
                {730 * 86400, "2 years"}};
  for (const auto& one : kCases) EXPECT_EQ(HumanDuration(one.seconds), one.expected);
}
// The time zone of this process while it lives.
class LocalZone {
 public:
  explicit LocalZone(const char* zone) {
    setenv("TZ", zone, 1);
    tzset();
  }
  LocalZone(const LocalZone&) = delete;
  LocalZone& operator=(const LocalZone&) = delete;
  ~LocalZone() {
    unsetenv("TZ");
    tzset();
  }
};
constexpr char kBerlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";

TEST(Human, LocalTimesAreShownAndRead) {
  constexpr int64_t kTime = 1'795'370'400'120'000'000;
  const LocalZone berlin(kBerlin);
  EXPECT_EQ(Rfc3339Local(kTime), "2026-11-22T19:00:00+01:00");
  EXPECT_EQ(Rfc3339NanoLocal(kTime), "2026-11-22T19:00:00.120000000+01:00");
  EXPECT_EQ(GoTime(kTime), "2026-11-22 19:00:00 +0100 CET");
  EXPECT_EQ(Rfc3339(kTime), "2026-11-22T18:00:00.12Z");
  EXPECT_EQ(ParseTimeArgument("2026-11-22T19:00", 0).value_or(-1), kTime - 120'000'000);
  EXPECT_EQ(ParseTimeArgument("2026-07-22T20:00", 0).value_or(-1),
            ParseTimeArgument("2026-07-22T18:00Z", 0).value_or(-2));
  EXPECT_EQ(ParseTimeArgument("2026-11-22T18:00:00Z", 0).value_or(-1), kTime - 120'000'000);
}
TEST(Human, TimesAreShown) {
  const LocalZone utc("UTC0");
  constexpr int64_t kTime = 1'795'370'400'120'000'000;
  EXPECT_EQ(Rfc3339(kTime), "2026-11-22T18:00:00.12Z");
  EXPECT_EQ(Rfc3339(kTime - 120'000'000), "2026-11-22T18:00:00Z");
  EXPECT_EQ(Rfc3339(0), "0001-01-01T00:00:00Z");
  EXPECT_EQ(Rfc3339Nano(kTime), "2026-11-22T18:00:00.120000000Z");
  EXPECT_EQ(Rfc3339Nano(-1), "1969-12-31T23:59:59.999999999Z");
  EXPECT_EQ(GoTime(kTime), "2026-11-22 18:00:00 +0000 UTC");
  EXPECT_EQ(Rfc3339Local(kTime), "2026-11-22T18:00:00Z");
  EXPECT_EQ(Rfc3339NanoLocal(kTime), "2026-11-22T18:00:00.120000000Z");
}
TEST(Human, TimesAreRead) {
  constexpr int64_t kTime = 1'795'370'400'000'000'000;
  EXPECT_EQ(ParseRfc3339Ns("2026-11-22T18:00:00Z"), kTime);
  EXPECT_EQ(ParseRfc3339Ns("2026-11-22T19:00:00.5+01:00"), kTime + 500'000'000);
  EXPECT_EQ(ParseRfc3339Ns("2026-11-22T18:00:00.1234567891Z"), kTime + 123'456'789);
  EXPECT_EQ(ParseTimestamp("2026-11-22T18:00:00.9Z"), kTime / kNsPerSecond);
  for (const char* wrong : {"", "2026", "2026-11-22", "2026-11-22T18:00:00", "2026-13-22T18:00:00Z",
                            "2026-11-22T18:00:00.Z", "2026-11-22T18:00:00Zx", "9999999-1-1",
                            "2026-11-22T18:00:00+1", "0001-01-01T00:00:00Z"}) {
    EXPECT_EQ(ParseRfc3339Ns(wrong), std::nullopt) << wrong;
  }
}
TEST(Human, GosDurationsAreRead) {
  EXPECT_EQ(ParseGoDuration("1h30m"), 5400 * kNsPerSecond);
  EXPECT_EQ(ParseGoDuration("1.5s"), 1'500'000'000);
  EXPECT_EQ(ParseGoDuration("300ms"), 300'000'000);
  EXPECT_EQ(ParseGoDuration("-2m"), -120 * kNsPerSecond);
  EXPECT_EQ(ParseGoDuration("0"), 0);
  for (const char* wrong : {"", "10", "m", "1d", "1.2.3s", "s1", "1h30", "9999999999h", ".s"}) {
    EXPECT_EQ(ParseGoDuration(wrong), std::nullopt) << wrong;
  }
}
TEST(Human, ArgumentsOfSinceAreTimesOrHowLongAgo) {
  const LocalZone utc("UTC0");
  constexpr int64_t kTime = 1'795'370'400'000'000'000;
  constexpr int64_t kNow = kTime + 600 * kNsPerSecond;
  const auto parse = [](std::string_view text) {
    return ParseTimeArgument(text, kNow).value_or(-1);
  };
  EXPECT_EQ(parse("10m"), kTime);
  EXPECT_EQ(parse("1795370400"), kTime);
  EXPECT_EQ(parse("1795370400.25"), kTime + 250'000'000);
  EXPECT_EQ(parse("0"), 0);
  EXPECT_EQ(parse("2026-11-22T18:00:00Z"), kTime);
  EXPECT_EQ(parse("2026-11-22T18:00:00"), kTime);
  EXPECT_EQ(parse("2026-11-22T18:00"), kTime);
  EXPECT_EQ(parse("2026-11-22"), kTime - 18 * 3600 * kNsPerSecond);
  for (const char* wrong : {"", "yesterday", "10x", "1.2.3", "99999999999999999999", "1795370400.",
                            "2026-11-22T18:00Q"}) {
    EXPECT_FALSE(ParseTimeArgument(wrong, kNow)) << wrong;
  }
}

}  // namespace
}  // namespace hull::format
