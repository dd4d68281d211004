/* _dl_find_object, which glibc has since 2.35, by way of dl_iterate_phdr, which musl has.
 *
 * The unwinder asks: which loaded object holds this address, and where is its table of frames? */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdint.h>

struct dl_find_object {
  unsigned long long flags;
  void *map_start, *map_end, *link_map, *eh_frame;
  unsigned long long reserved[7];
};

struct query {
  uintptr_t address;
  struct dl_find_object *result;
};

static int visit(struct dl_phdr_info *object, size_t size, void *data) {
  struct query *query = data;
  uintptr_t low = UINTPTR_MAX, high = 0;
  void *eh_frame = 0;
  int hit = 0;

  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    uintptr_t start = object->dlpi_addr + segment->p_vaddr, end = start + segment->p_memsz;
    if (segment->p_type == PT_LOAD) {
      if (start < low) low = start;
      if (end > high) high = end;
      if (start <= query->address && query->address < end) hit = 1;
    } else if (segment->p_type == PT_GNU_EH_FRAME) {
      eh_frame = (void *)start;
    }
  }
  if (!hit || !eh_frame) return 0;
  *query->result = (struct dl_find_object){ .map_start = (void *)low, .map_end = (void *)high, .eh_frame = eh_frame };
  return 1;
}

int _dl_find_object(void *address, struct dl_find_object *result) {
  struct query query = { (uintptr_t)address, result };
  return dl_iterate_phdr(visit, &query) ? 0 : -1;
}

/* libgcc refers to the functions for threads weakly: it takes all of them to be there if one is. In a static program
 * that holds only if something refers to each of them. (On riscv64 a panic would call a null pointer.) */
const void *const libgcc_eh_needs[] = {
  (void *)pthread_once,         (void *)pthread_key_create, (void *)pthread_getspecific,
  (void *)pthread_setspecific,  (void *)pthread_mutex_lock, (void *)pthread_mutex_unlock,
};
