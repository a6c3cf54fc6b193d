/* Lets QEMU start the kernel that hull-vmm starts: an uncompressed one without an entry for QEMU, at its 64-bit entry.
 * QEMU comes here by PVH (32 bits, flat segments, no paging). Linked nowhere: tests/bench/passthrough puts this at BASE,
 * and behind it, at the offsets that it gives, the boot parameters.
 * Defined on the command line: BASE, PARAMETERS (an address), ENTRY (the kernel's). */
  .code32
  .globl _start
_start:
  cli
  lgdt BASE + table_register - _start
  movl $(BASE + page_map - _start), %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x20, %eax               /* PAE */
  movl %eax, %cr4
  movl $0xc0000080, %ecx        /* EFER */
  rdmsr
  orl $0x100, %eax              /* LME */
  wrmsr
  movl %cr0, %eax
  orl $0x80000001, %eax         /* paging */
  movl %eax, %cr0
  ljmp $0x10, $(BASE + long_mode - _start)
  .code64
long_mode:
  movl $0x18, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movl $PARAMETERS, %esi
  movl $ENTRY, %eax
  jmp *%rax

  .balign 8
table:
  .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
table_register:
  .word . - table - 1
  .long BASE + table - _start

  /* The first GiB, identically, in pages of 2 MiB. */
  .balign 4096
page_map:
  .quad BASE + directories - _start + 3
  .fill 511, 8, 0
directories:
  .quad BASE + directory - _start + 3
  .fill 511, 8, 0
directory:
  .set page, 0
  .rept 512
  .quad page + 0x83
  .set page, page + 0x200000
  .endr
