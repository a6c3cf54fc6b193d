// A container's files from the host, whether it runs or not: what cp, diff and commit go through.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "runtime/agent_client.h"
#include "runtime/containers.h"
#include "runtime/maintenance_sandbox.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

class ContainerFiles {
 public:
  // Of a running (or paused) container, as its processes see them; of another, its root file
  // system, by way of a maintenance sandbox. `containers` must outlive it.
  static Result<std::unique_ptr<ContainerFiles>> Open(const Containers& containers,
                                                      const ContainerRecord& record);
  ContainerFiles(const ContainerFiles&) = delete;
  ContainerFiles& operator=(const ContainerFiles&) = delete;

  // Nothing: nothing is there.
  Result<std::optional<agent::v1::StatResponse>> Stat(const std::string& path, bool follow_link);

  // The connection of an archive: chunks follow (chunk_stream.h). Blocking socket.
  Result<UniqueFd> OpenArchive(const agent::v1::Archive& archive);

  // What was written is on the disk when this returns. To be called even when nothing was.
  Status Finish();

 private:
  ContainerFiles(const Containers& containers, std::string id)
      : containers_(containers), id_(std::move(id)) {}
  AgentClient& agent() { return maintenance_ ? maintenance_->agent() : *agent_; }

  const Containers& containers_;
  std::string id_;
  boost::asio::io_context io_{1};
  std::unique_ptr<AgentClient> agent_;
  std::unique_ptr<MaintenanceSandbox> maintenance_;
};

}  // namespace hull
