// Bus: finds the device that answers an address. One Bus for MMIO, one for ports.
//
// Built before the first vCPU runs, by one thread; afterwards Read and Write may come from all vCPU
// threads at once and take no lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/bus/bus_device.h"

namespace hull {

class Bus {
 public:
  // `device` answers [base, base + size_bytes); it stays the caller's and outlives the bus. `name`
  // is for errors. kInvalidArgument for an empty range or one that wraps, kAlreadyExists for an
  // overlap.
  Status Insert(uint64_t base, uint64_t size_bytes, BusDevice& device, std::string name);

  // One access of a vCPU. False when no device holds all of it: a read then gives all ones, as an
  // empty bus does, and a write is lost.
  bool Read(uint64_t address, std::span<std::byte> data) const;
  bool Write(uint64_t address, std::span<const std::byte> data) const;

 private:
  struct Entry {
    uint64_t base;
    uint64_t size_bytes;
    BusDevice* device;  // never null; not owned
    std::string name;
  };

  const Entry* Find(uint64_t address, size_t size_bytes) const;

  std::vector<Entry> entries_;  // by base
};

}  // namespace hull
