#include "runtime/cli/image_rows.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "images/store/reference.h"
#include "runtime/format/human.h"

namespace hull::cli {
namespace {

constexpr size_t kShortId = 12;
constexpr std::string_view kNone = "<none>";
constexpr std::string_view kNotKnown = "N/A";

constexpr std::array kColumns = {
    format::Column{"Containers", "CONTAINERS"},
    format::Column{"CreatedAt", "CREATED AT"},
    format::Column{"CreatedSince", "CREATED"},
    format::Column{"Digest", "DIGEST"},
    format::Column{"ID", "IMAGE ID"},
    format::Column{"Repository", "REPOSITORY"},
    format::Column{"SharedSize", "SHARED SIZE"},
    format::Column{"Size", "SIZE"},
    format::Column{"Tag", "TAG"},
    format::Column{"UniqueSize", "UNIQUE SIZE"},
    format::Column{"VirtualSize", "VIRTUAL SIZE"},
};

boost::json::object LabelsOf(const images::Image& image) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(image.config, error);
  if (error || !value.is_object()) return {};
  const boost::json::value* config = value.get_object().if_contains("config");
  if (config == nullptr || !config->is_object()) return {};
  const boost::json::value* labels = config->get_object().if_contains("Labels");
  return labels != nullptr && labels->is_object() ? labels->get_object() : boost::json::object();
}

bool HasTag(const images::Image& image) {
  return std::any_of(image.names.begin(), image.names.end(),
                     [](const std::string& name) { return name.find('@') == std::string::npos; });
}

bool Fits(const std::string& pattern, const std::string& full_name) {
  const std::string familiar = images::FamiliarName(full_name);
  const size_t slash = familiar.rfind('/');
  const size_t end = familiar.find_first_of(":@", slash == std::string::npos ? 0 : slash);
  for (const std::string& name : {familiar, familiar.substr(0, end), full_name,
                                  full_name.substr(0, full_name.size() - familiar.size() + end)}) {
    if (::fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME) == 0) return true;
  }
  return false;
}

}  // namespace

format::Listing ImageListing(bool with_digests) {
  return {kColumns,
          with_digests
              ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
              : "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"};
}

std::vector<format::Row> ImageRows(const images::Image& image,
                                   const std::vector<std::string>& names,
                                   const ImageRowOptions& options) {
  format::Row row;
  boost::json::object& fields = row.fields;
  fields["Containers"] = kNotKnown;
  fields["CreatedAt"] = kNotKnown;  // in the order in which JSON shows them
  fields["CreatedSince"] = kNotKnown;
  if (const std::optional<int64_t> created = format::ParseTimestamp(image.created)) {
    fields["CreatedSince"] = format::HumanDuration(options.now_s - *created) + " ago";
    fields["CreatedAt"] = format::GoTime(*created * format::kNsPerSecond);
  }
  fields["Digest"] = kNone;
  fields["ID"] = options.truncate ? image.id.substr(image.id.find(':') + 1, kShortId) : image.id;
  fields["Repository"] = kNone;
  fields["SharedSize"] = kNotKnown;
  fields["Size"] = format::HumanSize(image.size_bytes);
  fields["Tag"] = kNone;
  fields["UniqueSize"] = kNotKnown;
  fields["VirtualSize"] = fields["Size"];
  row.labels = LabelsOf(image);
  std::vector<format::Row> rows;
  for (const std::string& name : names) {
    const std::string familiar = images::FamiliarName(name);
    const size_t at = familiar.find('@');
    format::Row named = row;
    const auto entry = std::find(image.names.begin(), image.names.end(), name);
    if (at != std::string::npos) {
      named.fields["Repository"] = familiar.substr(0, at);
      named.fields["Digest"] = familiar.substr(at + 1);
    } else {
      const size_t colon = familiar.rfind(':');
      named.fields["Repository"] = familiar.substr(0, colon);
      named.fields["Tag"] = familiar.substr(colon + 1);
      if (entry != image.names.end())
        named.fields["Digest"] = image.digests[static_cast<size_t>(entry - image.names.begin())];
    }
    rows.push_back(std::move(named));
  }
  if (image.names.empty()) rows.push_back(std::move(row));
  return rows;
}

Result<ImageFilters> ImageFilters::Parse(const std::vector<std::string>& words,
                                         const std::vector<std::string_view>& known,
                                         const images::Store& store, int64_t now_s) {
  ImageFilters filters;
  const auto created = [&](const std::string& name) -> Result<int64_t> {
    HULL_ASSIGN(const images::Image image, store.Resolve(name));
    return format::ParseTimestamp(image.created).value_or(0);
  };
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Fail(ErrorCode::kInvalidArgument,
                  "invalid argument \"{}\" for \"-f, --filter\" flag: bad format of filter "
                  "(expected name=value)",
                  word);
    }
    const std::string name = word.substr(0, equals);
    const std::string value = word.substr(equals + 1);
    if (std::find(known.begin(), known.end(), name) == known.end())
      return Fail(ErrorCode::kInvalidArgument, "invalid filter '{}'", name);
    if (name == "dangling") {
      if (value != "true" && value != "1" && value != "false" && value != "0")
        return Fail(ErrorCode::kInvalidArgument, "invalid filter 'dangling=[{}]'", value);
      filters.dangling_ = value == "true" || value == "1";
    } else if (name == "reference") {
      filters.references_.push_back(value);
    } else if (name == "before") {
      HULL_ASSIGN(filters.before_s_, created(value));
    } else if (name == "since") {
      HULL_ASSIGN(filters.since_s_, created(value));
    } else if (name == "until") {
      HULL_ASSIGN(const int64_t until,
                  format::ParseTimeArgument(value, now_s * format::kNsPerSecond));
      filters.before_s_ = until / format::kNsPerSecond;
    } else {
      const size_t middle = value.find('=');
      Label label{value.substr(0, middle), {}, name != "label!"};
      if (middle != std::string::npos) label.value = value.substr(middle + 1);
      filters.labels_.push_back(std::move(label));
    }
  }
  return filters;
}

std::vector<std::string> ImageFilters::WantedNames(const images::Image& image) const {
  if (references_.empty()) return image.names;
  std::vector<std::string> names;
  for (const std::string& name : image.names) {
    if (std::any_of(references_.begin(), references_.end(),
                    [&](const std::string& pattern) { return Fits(pattern, name); })) {
      names.push_back(name);
    }
  }
  return names;
}

bool ImageFilters::Matches(const images::Image& image) const {
  if (dangling_ && *dangling_ == HasTag(image)) return false;
  if (!references_.empty() && WantedNames(image).empty()) return false;
  const int64_t created = format::ParseTimestamp(image.created).value_or(0);
  if (before_s_ && created >= *before_s_) return false;
  if (since_s_ && created <= *since_s_) return false;
  const boost::json::object labels = LabelsOf(image);
  return std::all_of(labels_.begin(), labels_.end(), [&](const Label& label) {
    const boost::json::value* value = labels.if_contains(label.key);
    const bool there =
        value != nullptr &&
        (!label.value || (value->is_string() && value->get_string() == *label.value));
    return there == label.wanted;
  });
}

}  // namespace hull::cli
