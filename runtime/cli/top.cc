// hull top: the processes of a container.
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "guest-agent/protocol/agent_service.h"
#include "runtime/agent_client.h"
#include "runtime/cli/command.h"
#include "runtime/container_lock.h"
#include "runtime/containers.h"
#include "runtime/events.h"
#include "runtime/process_table.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr int kDialTimeoutMs = 60'000;

Result<std::string> Top(const std::vector<std::string>& arguments, const GlobalOptions& global) {
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(layout);
  HULL_ASSIGN(const ContainerRecord record, containers.Load(arguments.front()));
  HULL_ASSIGN(const std::vector<ProcessColumn> columns,
              ParsePsOptions(std::span(arguments).subspan(1)));
  if (!IsRunning(record)) {
    return Fail(ErrorCode::kUnavailable, "container {} is not running", record.id);
  }
  boost::asio::io_context io(1);
  HULL_ASSIGN(UniqueFd socket, containers.DialGuest(record.id, agent::kAgentPort, kDialTimeoutMs));
  HULL_ASSIGN(const std::unique_ptr<AgentClient> agent, AgentClient::Adopt(io, std::move(socket)));
  HULL_ASSIGN(const agent::v1::ProcessesResponse processes, agent->Processes(record.id));
  RecordContainerEvent(layout, record, "top");
  return FormatProcesses(columns, processes);
}

Action DeclareTop(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& arguments) {
    const Result<std::string> text = Top(arguments, global);
    if (!text) {
      PrintError(text.error());
      return kExitFailed;
    }
    return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
  };
}

constexpr Example kExamples[] = {
    {"hull top web", "As ps -ef shows them"},
    {"hull top web -o pid,user,rss,args", "Columns of one's own"},
};

}  // namespace

extern const Command kTop;
constinit const Command kTop = {
    .name = "top",
    .group = Group::kContainers,
    .aliases = "container top",
    .summary = "Show the processes of a container",
    .arguments = "CONTAINER [PS_OPTION...]",
    .description =
        "Process ids, users and groups are the container's own: the numbers in its PID namespace, "
        "the names in its /etc/passwd. Of the options of ps(1), -e, -f, -A, aux and -o with a list "
        "of columns are known.",
    .examples = kExamples,
    .passes_rest = true,
    .offered = Offered::kRunning,
    .declare = DeclareTop,
};

}  // namespace hull::cli
