#include "runtime/container_name.h"

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace hull {
namespace {

constexpr std::array<std::string_view, 64> kAdjectives = {
    "able",    "agile",    "airy",   "ample",   "apt",    "brave",   "breezy", "bright",
    "brisk",   "calm",     "candid", "careful", "civil",  "clear",   "clever", "cosy",
    "crisp",   "curious",  "daring", "deft",    "eager",  "earnest", "easy",   "exact",
    "fair",    "fearless", "fine",   "firm",    "fond",   "frank",   "fresh",  "gentle",
    "glad",    "golden",   "hardy",  "honest",  "humble", "jolly",   "keen",   "kind",
    "lively",  "loyal",    "lucid",  "merry",   "mild",   "modest",  "neat",   "noble",
    "patient", "plain",    "polite", "proud",   "quiet",  "rapid",   "serene", "sharp",
    "silent",  "sincere",  "steady", "sturdy",  "tidy",   "upbeat",  "vivid",  "wise"};

// People without whom there would be no computers, ships or ways to steer them.
constexpr std::array<std::string_view, 64> kPeople = {
    "abel",       "anning",   "archimedes", "babbage",  "banneker",  "beaufort", "bohr",
    "boole",      "bowditch", "brunel",     "cantor",   "cauchy",    "church",   "cook",
    "curie",      "darwin",   "dijkstra",   "drake",    "engelbart", "euclid",   "euler",
    "faraday",    "fermat",   "floyd",      "fourier",  "franklin",  "galileo",  "galois",
    "gauss",      "godel",    "hamilton",   "harrison", "herschel",  "hilbert",  "hoare",
    "hopper",     "huygens",  "hypatia",    "joule",    "kepler",    "knuth",    "lamarr",
    "leibniz",    "lovelace", "magellan",   "maxwell",  "meitner",   "mercator", "napier",
    "nansen",     "noether",  "pascal",     "plimsoll", "ptolemy",   "ritchie",  "shannon",
    "somerville", "tasman",   "tesla",      "turing",   "volta",     "wilkes",   "wirth",
    "zuse"};

}  // namespace

Result<std::string> RandomContainerName() {
  std::array<uint8_t, 2> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return FailErrno("get random bytes");
  }
  return fmt::format("{}_{}", kAdjectives[bytes[0] % kAdjectives.size()],
                     kPeople[bytes[1] % kPeople.size()]);
}

}  // namespace hull
