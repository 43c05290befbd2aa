/* SPDX-License-Identifier: MIT
 *
 * Names of what a collective can be.
 */
#include "cost/collective.h"

#define NAME(sym, name) name,

const char *ps_collective_kind_name(ps_collective_kind kind)
{
    static const char *const names[] = {PS_COLLECTIVE_KINDS(NAME)};
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "any";
}

const char *ps_collective_topology_name(ps_collective_topology topology)
{
    static const char *const names[] = {PS_COLLECTIVE_TOPOLOGIES(NAME)};
    return (size_t)topology < sizeof names / sizeof names[0] ? names[topology] : "any";
}

const char *ps_collective_algorithm_name(ps_collective_algorithm algorithm)
{
    static const char *const names[] = {PS_COLLECTIVE_ALGORITHMS(NAME)};
    return (size_t)algorithm < sizeof names / sizeof names[0] ? names[algorithm] : "any";
}

const char *ps_collective_protocol_name(ps_collective_protocol protocol)
{
    static const char *const names[] = {PS_COLLECTIVE_PROTOCOLS(NAME)};
    return (size_t)protocol < sizeof names / sizeof names[0] ? names[protocol] : "any";
}
