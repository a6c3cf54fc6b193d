#include "runtime/cli/image_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hull::cli {
namespace {

using ::testing::HasSubstr;

TEST(HumanSize, HasThreeDigitsOfPowersOfAThousand) {
  const std::pair<uint64_t, const char*> table[] = {{0, "0B"},
                                                    {999, "999B"},
                                                    {1000, "1kB"},
                                                    {2023424, "2.02MB"},
                                                    {60944384, "60.9MB"},
                                                    {137678848, "138MB"},
                                                    {UINT64_MAX, "18.4EB"}};
  for (const auto& [bytes, text] : table) EXPECT_EQ(HumanSize(bytes), text);
}

TEST(HumanDuration, SpeaksAsDocker) {
  const std::pair<int64_t, const char*> table[] = {
      {-5, "Less than a second"}, {1, "1 second"},         {59, "59 seconds"},
      {60, "About a minute"},     {119, "About a minute"}, {120, "2 minutes"},
      {3600, "About an hour"},    {5400, "2 hours"},       {47 * 3600, "47 hours"},
      {48 * 3600, "2 days"},      {13 * 86400, "13 days"}, {14 * 86400, "2 weeks"},
      {60 * 86400, "2 months"},   {800 * 86400, "2 years"}};
  for (const auto& [seconds, text] : table) EXPECT_EQ(HumanDuration(seconds), text) << seconds;
}

TEST(ParseTimestamp, ReadsRfc3339) {
  EXPECT_EQ(ParseTimestamp("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(ParseTimestamp("2023-06-10T00:00:00.123456789Z"), 1686355200);
  EXPECT_EQ(ParseTimestamp("2023-06-10T02:00:00+02:00"), 1686355200);
  EXPECT_EQ(ParseTimestamp("2023-06-09T19:30:00-04:30"), 1686355200);
  for (const char* text :
       {"", "x", "2023-06-10", "2023-13-10T00:00:00Z", "2023-06-10T00:00:00",
        "2023-06-10T25:00:00Z", "2023-06-10T00:00:00+0200", "2023-06-10T00:00:00ZZ"}) {
    EXPECT_FALSE(ParseTimestamp(text)) << text;
  }
}

images::Image Sample() {
  images::Image image;
  image.id = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  image.names = {"docker.io/library/busybox:1", "localhost:5000/a@sha256:ff"};
  image.digests = {"sha256:ee", "sha256:ff"};
  image.created = "1970-01-01T00:00:00Z";
  image.size_bytes = 2'000'000;
  return image;
}

TEST(FormatRows, TableIsAlignedAsDockers) {
  const std::vector<ImageRow> rows = RowsOf(Sample(), 7200, true);
  EXPECT_EQ(*FormatRows(rows, "table", false),
            "REPOSITORY         TAG       IMAGE ID       CREATED       SIZE\n"
            "busybox            1         0123456789ab   2 hours ago   2MB\n"
            "localhost:5000/a   <none>    0123456789ab   2 hours ago   2MB\n");
  EXPECT_THAT(*FormatRows(rows, "table", true), HasSubstr("sha256:ee"));
}

TEST(FormatRows, TemplatesAreExpanded) {
  const std::vector<ImageRow> rows = RowsOf(Sample(), 7200, false);
  EXPECT_EQ(*FormatRows(rows, "{{.Repository}}:{{ .Tag }}", false),
            "busybox:1\nlocalhost:5000/a:<none>\n");
  EXPECT_EQ(*FormatRows(rows, "table {{.Digest}}\\t{{.Size}}", false),
            "DIGEST      SIZE\nsha256:ee   2MB\nsha256:ff   2MB\n");
  EXPECT_THAT(*FormatRows(rows, "json", false),
              HasSubstr("\"Repository\":\"busybox\",\"Tag\":\"1\""));
  EXPECT_THAT(*FormatRows(rows, "{{.ID}}", false), HasSubstr("sha256:0123456789abcdef"));
}

TEST(FormatRows, UnknownFieldIsRefused) {
  const std::vector<ImageRow> rows = RowsOf(Sample(), 0, true);
  for (const char* format : {"{{.Nope}}", "{{.ID", "{{}}", "{{Repository}}"}) {
    const Result<std::string> text = FormatRows(rows, format, false);
    ASSERT_FALSE(text) << format;
    EXPECT_EQ(text.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(RowsOf, ImageWithoutNameIsStillListed) {
  images::Image image = Sample();
  image.names.clear();
  image.created.clear();
  const std::vector<ImageRow> rows = RowsOf(image, 0, true);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].repository, "<none>");
  EXPECT_EQ(rows[0].created_since, "N/A");
}

}  // namespace
}  // namespace hull::cli
