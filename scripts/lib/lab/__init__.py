"""The lab: an emulated host with KVM in which hull runs for real. See scripts/README.md."""
