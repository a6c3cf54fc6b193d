#include "images/store/lookup.h"

#include <unistd.h>

#include <vector>

#include "images/digest/digest.h"
#include "images/store/reference.h"
#include "vmm/base/escape.h"

namespace hull::images {
namespace {

constexpr size_t kIdPrefixDigits = 1;
constexpr size_t kIdDigits = 64;

// A name with a digest stands for the image that was pulled under that repository with that digest.
NameTable::const_iterator FindName(const NameTable& names, const ImageName& wanted) {
  if (const auto found = names.find(wanted.Full()); found != names.end()) return found;
  if (wanted.digest.empty()) return names.end();
  const std::string repository = wanted.Repository();
  for (auto entry = names.begin(); entry != names.end(); ++entry) {
    const std::string_view name = entry->first;
    const bool same = name.starts_with(repository) && name.size() > repository.size() &&
                      (name[repository.size()] == ':' || name[repository.size()] == '@');
    if (same && entry->second.digest == wanted.digest) return entry;
  }
  return names.end();
}

Result<std::string> FindId(const StorePaths& paths, std::string_view prefix) {
  HULL_ASSIGN(const std::vector<std::string> ids, ListImageIds(paths));
  std::string found;
  for (const std::string& id : ids) {
    if (!HexOf(id).starts_with(prefix)) continue;
    if (!found.empty()) {
      return Fail(ErrorCode::kInvalidArgument, "more than one image id begins with {}", prefix);
    }
    found = id;
  }
  return found;
}

}  // namespace

Error NoSuchImage(std::string_view name_or_id) {
  const std::string shown = EscapeControl(name_or_id);
  return MakeError(ErrorCode::kNotFound, "No such image: {}", shown)
      .WithHint(fmt::format("hull pull {}", shown));
}

Result<Found> FindImage(const StorePaths& paths, const NameTable& names,
                        std::string_view name_or_id) {
  const Result<ImageName> name = ParseImageName(name_or_id);
  if (name) {
    const auto named = FindName(names, *name);
    // A removal that was killed may leave a name without an image.
    if (named != names.end() && ::access(paths.ImageFile(named->second.id).c_str(), F_OK) == 0)
      return Found{named->second.id, named->first, named->second.digest};
  }
  std::string_view prefix = name_or_id;
  if (prefix.starts_with("sha256:")) prefix.remove_prefix(7);
  const bool can_be_id = prefix.size() >= kIdPrefixDigits && prefix.size() <= kIdDigits &&
                         prefix.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (!can_be_id) return Fail(name ? NoSuchImage(name_or_id) : name.error());
  HULL_ASSIGN(std::string id, FindId(paths, prefix));
  if (id.empty()) return Fail(NoSuchImage(name_or_id));
  return Found{std::move(id), {}, {}};
}

}  // namespace hull::images
