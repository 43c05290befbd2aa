/* SPDX-License-Identifier: MIT
 *
 * Names of what a step waits for.
 */
#include "result/steady.h"

const char *ps_resource_name(ps_resource resource)
{
    static const char *const names[PS_RESOURCE_COUNT] = {
#define PS_RESOURCE_NAME(sym, name, words) name,
        PS_RESOURCES(PS_RESOURCE_NAME)
#undef PS_RESOURCE_NAME
    };
    return names[resource];
}

const char *ps_resource_words(ps_resource resource)
{
    static const char *const texts[PS_RESOURCE_COUNT] = {
#define PS_RESOURCE_WORDS(sym, name, words) words,
        PS_RESOURCES(PS_RESOURCE_WORDS)
#undef PS_RESOURCE_WORDS
    };
    return texts[resource];
}

const char *ps_break_even_name(ps_break_even_of of)
{
    static const char *const names[PS_BREAK_EVEN_COUNT] = {
#define PS_BREAK_EVEN_NAME(sym, name, words) name,
        PS_BREAK_EVENS(PS_BREAK_EVEN_NAME)
#undef PS_BREAK_EVEN_NAME
    };
    return names[of];
}

const char *ps_break_even_words(ps_break_even_of of)
{
    static const char *const texts[PS_BREAK_EVEN_COUNT] = {
#define PS_BREAK_EVEN_WORDS(sym, name, words) words,
        PS_BREAK_EVENS(PS_BREAK_EVEN_WORDS)
#undef PS_BREAK_EVEN_WORDS
    };
    return texts[of];
}
