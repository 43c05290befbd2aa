/* SPDX-License-Identifier: MIT
 *
 * Libraries on top of the runtime, as far as training calls them: matrix products
 * launch one kernel, named after the call, that does nothing; what cannot be stood
 * in for is refused.
 */
#include <string.h>

#include "standin/runtime.h"
#include "standin/standin.h"

/* A function whose arguments do not matter. */
#define STANDIN_ACCEPT(name)    \
    STANDIN_API int name(void); \
    int name(void)              \
    {                           \
        return STANDIN_SUCCESS; \
    }
#define STANDIN_REFUSE(name)                          \
    STANDIN_API int name(void);                       \
    int name(void)                                    \
    {                                                 \
        return standin_result(STANDIN_NOT_SUPPORTED); \
    }
/* A matrix product: on the stream that the thread gave its handle last, as PyTorch always does. */
static _Thread_local void *product_stream;
#define STANDIN_PRODUCT(name)                                              \
    STANDIN_API int name(void);                                            \
    int name(void)                                                         \
    {                                                                      \
        standin_launch_product("standin_gemm<" #name ">", product_stream); \
        return STANDIN_SUCCESS;                                            \
    }
#include "standin/library.def"

STANDIN_API int cublasSetStream_v2(void *handle, void *stream);
int cublasSetStream_v2(void *handle, void *stream)
{
    (void)handle;
    product_stream = stream;
    return STANDIN_SUCCESS;
}

/* Functions that hand out a handle in their first argument: any address but 0. */
static char object;
#define STANDIN_CREATE(name)             \
    STANDIN_API int name(void **handle); \
    int name(void **handle)              \
    {                                    \
        *handle = &object;               \
        return STANDIN_SUCCESS;          \
    }
STANDIN_CREATE(cublasLtCreate)
STANDIN_CREATE(cublasLtMatmulDescCreate)
STANDIN_CREATE(cublasLtMatmulPreferenceCreate)
STANDIN_CREATE(cublasLtMatrixLayoutCreate)

/* PyTorch has a handle a thread and a workspace a handle, so handles must differ. */
STANDIN_API int cublasCreate_v2(void **handle);
int cublasCreate_v2(void **handle)
{
    static char objects[256];
    static _Atomic unsigned made;
    *handle = &objects[made++ % sizeof objects];
    return STANDIN_SUCCESS;
}

/* Functions that report a number about a handle: 0. */
#define STANDIN_REPORT(name)                        \
    STANDIN_API int name(void *handle, int *value); \
    int name(void *handle, int *value)              \
    {                                               \
        (void)handle;                               \
        *value = 0;                                 \
        return STANDIN_SUCCESS;                     \
    }
STANDIN_REPORT(cublasGetMathMode)
STANDIN_REPORT(cublasGetPointerMode_v2)

STANDIN_API size_t cublasLtGetVersion(void);
size_t cublasLtGetVersion(void)
{
    return 130100;
}

/* Too old for attention, so that PyTorch takes its own kernels. */
STANDIN_API size_t cudnnGetVersion(void);
size_t cudnnGetVersion(void)
{
    return 1;
}

/* cublasLtMatmulHeuristicResult_t */
typedef struct heuristic {
    uint64_t algorithm[8];
    size_t workspace_bytes;
    int status;
    float waves;
    int unused[4];
} heuristic;

_Static_assert(sizeof(heuristic) == 96, "size of cublasLtMatmulHeuristicResult_t");

STANDIN_API int cublasLtMatmulAlgoGetHeuristic(void *handle, void *product, void *a, void *b,
                                               void *c, void *d, void *preference, int wanted,
                                               void *results, int *count);
int cublasLtMatmulAlgoGetHeuristic(void *handle, void *product, void *a, void *b, void *c, void *d,
                                   void *preference, int wanted, void *results, int *count)
{
    const heuristic only = {.waves = 1.0F};
    (void)handle;
    (void)product;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)preference;
    *count = wanted > 0;
    if (wanted > 0) {
        memcpy(results, &only, sizeof only);
    }
    return STANDIN_SUCCESS;
}
