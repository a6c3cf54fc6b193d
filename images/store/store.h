// The image store: OCI images on this host, each layer as one EROFS file that every image and every
// VM shares.
//
// On disk, under `<root>/images` (everything appears by rename, so a reader needs no lock and a
// kill at any moment leaves nothing half made):
//   layers/sha256-<diff id>.erofs   one layer, read-only, never changed once it is there
//   blobs/sha256-<digest>           manifests and configurations, byte for byte as the registry had
//   them images/sha256-<image id>.json   one image: what it is made of names.json which name means
//   which image locks/, tmp/                    of running pulls; what a killed one left goes with
//   the next pull
// A Store on a read-only file system can List and Resolve.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/reference.h"
#include "vmm/base/result.h"

namespace hull::images {

struct Layer {
  std::string diff_id;      // "sha256:<64 hex>": digest of the uncompressed tar
  std::string path;         // the EROFS file, absolute if the store's root is
  uint64_t size_bytes = 0;  // of the EROFS file
};

struct Image {
  std::string id;                    // "sha256:<64 hex>": digest of the configuration
  std::vector<std::string> names;    // full, sorted: "docker.io/library/busybox:latest"
  std::vector<std::string> digests;  // digests[i]: what names[i] stood for, a manifest or an index
  std::string digest;  // of what the name stood for where it came from: a manifest or an index
  std::string
      manifest_digest;      // of the image's own manifest; equals `digest` when there was no index
  std::string created;      // RFC 3339 as the configuration has it; may be empty
  uint64_t size_bytes = 0;  // sum of the layers
  std::string config;       // the OCI image configuration: verified JSON text, an object
  std::vector<Layer> layers;  // lowest first

  // From Pull alone.
  std::string
      pulled_name;      // full: the name it has now; empty when neither source nor options gave one
  bool is_new = false;  // the name stood for something else before, or for nothing
};

struct PullProgress {
  enum class Phase {
    kResolve,  // asking what the name stands for
    kFetch,    // bytes of `subject` arriving; the numbers are those of the whole image
    kImport,   // making layer `subject`; the numbers are compressed bytes of that layer
    kExists,   // layer `subject` is in the store already
    kDone,     // layer `subject` is in the store now
  };
  Phase phase = Phase::kResolve;
  std::string subject;  // a digest, or empty
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;  // 0: not known
};

// Refusals that protect the host from an image. An image beyond them is kExhausted.
struct ImportLimits {
  uint64_t layer_bytes = uint64_t{64} << 30;  // uncompressed, one layer
  uint64_t layer_entries = 4'000'000;         // files, directories, links in one layer
  uint64_t manifest_bytes = uint64_t{4} << 20;
  uint64_t config_bytes = uint64_t{8} << 20;
  uint32_t layers = 250;  // what one disk of a VM has partitions for
};

struct PullOptions {
  std::function<void(const PullProgress&)> progress;  // called on the calling thread; may be empty
  // What an index is searched for; an image for anything else is refused.
  std::string os = "linux";
  std::string architecture = "amd64";
  std::string variant;
  // The name to give the image, instead of the one it came with. Normalised as docker does.
  std::string name;
  // Passed to skopeo: the rest (mirrors, insecure registries, signatures) is in
  // containers-registries.conf(5) and containers-policy.json(5).
  bool tls_verify = true;
  std::string auth_file;         // empty: skopeo's own search
  std::string signature_policy;  // empty: the host's policy.json
  ImportLimits limits;
};

class Store {
 public:
  // `root` is hull's directory (/var/lib/hull). What is missing in it is made by the first Pull.
  // `importer`: the hull-import program; empty: beside the running executable, or HULL_IMPORT.
  static Result<Store> Open(std::string root, std::string importer = "");

  // By name ("busybox", "busybox:1.36", "registry:5000/a/b@sha256:..."), by image id or by a unique
  // prefix of one. kNotFound when there is none, kInvalidArgument for what is neither name nor id.
  Result<Image> Resolve(std::string_view name_or_id) const;

  // All images, newest first.
  Result<std::vector<Image>> List() const;

  // Gets an image and all its layers, and names it. Blocks. `reference` is a docker name (docker://
  // may stand before it), oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]. On
  // an error the store is as it was, save for whole, verified layers that came in before it.
  Result<Image> Pull(std::string_view reference, const PullOptions& options);

 private:
  Store(std::string root, std::string importer);

  std::string root_;  // <root>/images
  std::string importer_;
};

}  // namespace hull::images
