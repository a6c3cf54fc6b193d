#include "images/store/reference.h"

#include <algorithm>

#include "images/digest/digest.h"
#include "vmm/base/escape.h"

namespace hull::images {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kOldDefaultDomain = "index.docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr std::string_view kDefaultTag = "latest";
constexpr size_t kNameBytes = 255;
constexpr size_t kTagBytes = 128;

bool IsLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool IsUpper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// path-component := alpha-numeric (separator alpha-numeric)*, separator := "." | "_" | "__" | "-"*
bool IsPathComponent(std::string_view text) {
  if (text.empty()) return false;
  size_t at = 0;
  while (at < text.size()) {
    const size_t word = at;
    while (at < text.size() && (IsLower(text[at]) || IsDigit(text[at]))) ++at;
    if (at == word) return false;
    if (at == text.size()) return true;
    const size_t separator = at;
    while (at < text.size() && !IsLower(text[at]) && !IsDigit(text[at])) ++at;
    const std::string_view between = text.substr(separator, at - separator);
    const bool dashes = between.find_first_not_of('-') == std::string_view::npos;
    if (between != "." && between != "_" && between != "__" && !dashes) return false;
  }
  return false;
}

bool IsDomainComponent(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '-'; });
}

bool IsDomain(std::string_view text) {
  std::string_view host = text;
  const size_t bracket = text.find(']');
  const size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || !std::all_of(port.begin(), port.end(), IsDigit)) return false;
    host = text.substr(0, colon);
  }
  if (host.starts_with('[')) {
    return host.size() > 2 && host.back() == ']' &&
           host.find_first_not_of("0123456789abcdefABCDEF:", 1) == host.size() - 1;
  }
  for (;;) {
    const size_t dot = host.find('.');
    if (!IsDomainComponent(host.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool IsTag(std::string_view text) {
  const auto is_word = [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '_'; };
  return !text.empty() && text.size() <= kTagBytes && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

template <typename... Args>
tl::unexpected<Error> BadName(std::string_view text, fmt::format_string<Args...> format,
                              Args&&... args) {
  return Fail(ErrorCode::kInvalidArgument, "invalid image name \"{}\": {}", EscapeControl(text),
              fmt::format(format, std::forward<Args>(args)...));
}

// Takes "@digest" and ":tag" off the end of `rest`.
Status TakeTagAndDigest(std::string_view text, std::string_view& rest, ImageName& name) {
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    name.digest = rest.substr(at + 1);
    if (!IsDigest(name.digest)) {
      return BadName(text, "what follows the @ is not sha256: and 64 hexadecimal digits");
    }
    rest = rest.substr(0, at);
  }
  const size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
    name.tag = rest.substr(colon + 1);
    if (!IsTag(name.tag)) {
      return BadName(text, "the tag has other characters than letters, digits, _ . -, or too many");
    }
    rest = rest.substr(0, colon);
  }
  if (name.tag.empty() && name.digest.empty()) name.tag = kDefaultTag;
  return {};
}

}  // namespace

std::string ImageName::Full() const {
  return Repository() + (digest.empty() ? ":" + tag : "@" + digest);
}

Result<ImageName> ParseImageName(std::string_view text) {
  if (text.empty()) return BadName(text, "it is empty");
  if (IsDigest(fmt::format("sha256:{}", text))) {
    return BadName(text, "64 hexadecimal digits are an image id, not a name");
  }
  ImageName name;
  std::string_view rest = text;
  HULL_TRY(TakeTagAndDigest(text, rest, name));
  // The first part is a registry if it cannot be a part of a repository's name.
  const size_t slash = rest.find('/');
  const std::string_view first = rest.substr(0, slash);
  const bool has_domain =
      slash != std::string_view::npos &&
      (first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
       std::any_of(first.begin(), first.end(), IsUpper));
  name.domain = has_domain ? first : kDefaultDomain;
  name.repository = has_domain ? rest.substr(slash + 1) : rest;
  if (name.domain == kOldDefaultDomain) name.domain = kDefaultDomain;
  if (name.domain == kDefaultDomain && name.repository.find('/') == std::string::npos) {
    name.repository.insert(0, kOfficial);
  }
  if (!IsDomain(name.domain))
    return BadName(text, "\"{}\" is not a registry", EscapeControl(name.domain));
  if (std::any_of(name.repository.begin(), name.repository.end(), IsUpper)) {
    return BadName(text, "the repository must be in lower case");
  }
  std::string_view components = name.repository;
  for (;;) {
    const size_t end = components.find('/');
    if (!IsPathComponent(components.substr(0, end))) {
      return BadName(text, "\"{}\" is not a repository", EscapeControl(name.repository));
    }
    if (end == std::string_view::npos) break;
    components.remove_prefix(end + 1);
  }
  if (name.Repository().size() > kNameBytes)
    return BadName(text, "it is longer than {} bytes", kNameBytes);
  return name;
}

std::string FamiliarName(std::string_view full_name) {
  const std::string default_prefix = fmt::format("{}/", kDefaultDomain);
  if (!full_name.starts_with(default_prefix)) return std::string(full_name);
  std::string_view shown = full_name.substr(default_prefix.size());
  const std::string_view after = shown.substr(std::min(kOfficial.size(), shown.size()));
  const bool is_official = shown.starts_with(kOfficial) &&
                           after.substr(0, after.find('@')).find('/') == std::string_view::npos;
  if (is_official) shown = after;
  // "docker.io/a.b/c" without its registry would name another one: a.b.
  const Result<ImageName> again = ParseImageName(shown);
  const bool same = again && (again->Full() == full_name || again->Repository() == full_name);
  return std::string(same ? shown : full_name);
}

Result<Source> ParseSource(std::string_view text) {
  struct Transport {
    std::string_view prefix;
    Source::Kind kind;
  };
  constexpr Transport kTransports[] = {{"oci:", Source::Kind::kOciLayout},
                                       {"oci-archive:", Source::Kind::kOciArchive},
                                       {"docker-archive:", Source::Kind::kDockerArchive}};
  Source source;
  for (const Transport& transport : kTransports) {
    if (!text.starts_with(transport.prefix)) continue;
    const std::string_view rest = text.substr(transport.prefix.size());
    const size_t colon = rest.find(':');
    source.kind = transport.kind;
    source.path = rest.substr(0, colon);
    if (colon != std::string_view::npos) source.tag = rest.substr(colon + 1);
    // A path that begins with a dash would be an option to the tools that read it.
    if (source.path.empty() || source.path.front() == '-' ||
        (colon != std::string_view::npos && source.tag.empty())) {
      return Fail(ErrorCode::kInvalidArgument, "\"{}\" is not {}PATH[:TAG]", EscapeControl(text),
                  transport.prefix);
    }
    return source;
  }
  constexpr std::string_view kDocker = "docker://";
  if (text.starts_with(kDocker)) text.remove_prefix(kDocker.size());
  HULL_ASSIGN(source.name, ParseImageName(text));
  return source;
}

}  // namespace hull::images
