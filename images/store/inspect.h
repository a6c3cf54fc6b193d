// What docker's `image inspect` says of an image.
#pragma once

#include <string_view>

#include <boost/json/object.hpp>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

// One element of docker's list: Id, RepoTags, RepoDigests, Parent, Comment, Created, Author,
// Config, Architecture, Os, Size, GraphDriver, RootFS, Metadata. `name_or_id` as in Store::Resolve.
// Strings are the image's own: hostile, and safe only as JSON.
Result<boost::json::object> InspectImage(const Store& store, std::string_view name_or_id);

// The same of an image that is at hand.
Result<boost::json::object> DescribeImage(const Image& image);

}  // namespace hull::images
