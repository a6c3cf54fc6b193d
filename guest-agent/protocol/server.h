// The answering side of ttrpc: methods by name, over any number of connections.
//
// server.Handle<StartRequest, StartResponse>(kServiceName, "Start", [](StartRequest request,
// Reply<StartResponse> reply) {...}); server.Serve(std::move(accepted_socket)); Unary calls only; a
// request to open a stream is answered UNIMPLEMENTED. A peer that breaks the protocol loses its
// connection, nothing else. Lives on the loop that runs its io_context; not thread-safe.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::ttrpc {

class Connection;

// The way back for one call. Copies share it: the first answer counts, later ones are dropped. When
// the last copy goes without an answer, the caller gets INTERNAL: no call is ever left hanging by
// mistake.
class RawReply {
 public:
  class Call;
  explicit RawReply(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  void operator()(Result<std::string> payload) const;
  // False when the caller has gone: nobody waits for the answer.
  bool wanted() const;

 private:
  std::shared_ptr<Call> call_;
};

template <typename Response>
class Reply {
 public:
  explicit Reply(RawReply raw) : raw_(std::move(raw)) {}
  void operator()(Result<Response> response) const {
    if (response) {
      raw_(response->SerializeAsString());
    } else {
      raw_(Fail(std::move(response).error()));
    }
  }
  bool wanted() const { return raw_.wanted(); }

 private:
  RawReply raw_;
};

class Server {
 public:
  // Calls of one connection that may be under way at once; more are answered RESOURCE_EXHAUSTED.
  static constexpr size_t kMaxCalls = 4096;

  using RawHandler = std::function<void(std::string payload, RawReply)>;

  // `io` must outlive the server.
  explicit Server(boost::asio::io_context& io) : io_(io) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Before the first Serve(). `handler` runs on the loop and answers now or later.
  void HandleRaw(std::string_view service, std::string_view method, RawHandler handler);

  template <typename Request, typename Response>
  void Handle(std::string_view service, std::string_view method,
              std::function<void(Request, Reply<Response>)> handler) {
    HandleRaw(service, method, [handler = std::move(handler)](std::string payload, RawReply raw) {
      Request request;
      if (!request.ParseFromString(payload)) {
        return raw(
            Fail(ErrorCode::kInvalidArgument, "the request is not a message of this method"));
      }
      handler(std::move(request), Reply<Response>(std::move(raw)));
    });
  }

  // Takes over a connected stream socket and serves it until it ends; then `on_closed` is called.
  Status Serve(UniqueFd socket, std::function<void(Error)> on_closed = nullptr);

  size_t connections() const { return connections_.size(); }

 private:
  friend class RawReply::Call;
  struct Session;
  Status Dispatch(const std::string& body, RawReply reply);

  boost::asio::io_context& io_;
  std::map<std::string, RawHandler, std::less<>> methods_;  // by "service/method"
  std::set<std::shared_ptr<Session>> connections_;
};

}  // namespace hull::ttrpc
