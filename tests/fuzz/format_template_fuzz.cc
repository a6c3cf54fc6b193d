// A template that somebody passed on from elsewhere, run over a document with a value of every
// kind.
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/parse.hpp>

#include "runtime/format/listing.h"
#include "runtime/format/template.h"
#include "vmm/base/check.h"

namespace {

constexpr char kDocument[] = R"({"Id":"abc","Empty":"","Count":3,"Zero":0,"Ratio":2.5,"Yes":true,
  "No":false,"Nothing":null,"Args":["a","b c"],"None":[],"State":{"Status":"running","Pid":42},
  "Config":{"Labels":{"a":"1"}},"Mixed":[1,"x",null,[{}]],"Odd":"\u0000\u001b\u00e9"})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const boost::json::value* const document =
      new boost::json::value(boost::json::parse(kDocument));
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const hull::Result<hull::format::Template> parsed = hull::format::Template::Parse(text);
  if (!parsed) return 0;
  const hull::Result<std::string> shown = parsed->Execute(*document);
  if (shown) HULL_CHECK(shown->size() <= hull::format::Template::kMaxBytes);
  if (shown) static_cast<void>(hull::format::AlignColumns(*shown));
  static_cast<void>(
      parsed->Execute(*document, {hull::format::Template::Purpose::kHeadings, nullptr}));
  return 0;
}
