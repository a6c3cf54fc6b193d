#include "order.h"

#include <errno.h>
#include <stdlib.h>

#include "support.h"

namespace lab {

Order ParseOrder(std::string_view records) {
  Order order;
  while (!records.empty()) {
    const std::string record(records.substr(0, records.find('\0')));
    records.remove_prefix(std::min(record.size() + 1, records.size()));
    const size_t equals = record.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = record.substr(0, equals);
    const std::string value = record.substr(equals + 1);
    if (key == "arg") {
      order.arguments.push_back(value);
    } else if (key == "env") {
      order.environment.push_back(value);
    } else if (key == "keep") {
      order.keep.push_back(value);
    } else if (key == "cwd") {
      order.directory = value;
    } else if (key == "out") {
      order.out = value;
    } else if (key == "store") {
      order.store = value;
    } else if (key == "modules") {
      order.modules = value;
    } else if (key == "tty") {
      order.terminal = value == "1";
    } else if (key == "coldplug") {
      order.coldplug = value == "1";
    } else if (key == "rows") {
      order.rows = static_cast<unsigned>(strtoul(value.c_str(), nullptr, 10));
    } else if (key == "columns") {
      order.columns = static_cast<unsigned>(strtoul(value.c_str(), nullptr, 10));
    } else if (key == "time") {
      order.time_ns = strtoll(value.c_str(), nullptr, 10);
    } else if (key == "seed") {
      order.seed = value;
    } else {
      errno = 0;
      Die("the order has an unknown key \"%s\"", key.c_str());
    }
  }
  return order;
}

}  // namespace lab
