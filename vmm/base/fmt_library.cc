// Debian ships {fmt} as a shared library only; hull links statically. This file compiles it once,
// so that no other file pays for its header-only mode.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
template FMT_API auto detail::thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto detail::decimal_point_impl(locale_ref) -> char;
template FMT_API auto detail::thousands_sep_impl(locale_ref) -> thousands_sep_result<wchar_t>;
template FMT_API auto detail::decimal_point_impl(locale_ref) -> wchar_t;
template FMT_API auto detail::dragonbox::to_decimal(float x) noexcept
    -> dragonbox::decimal_fp<float>;
template FMT_API auto detail::dragonbox::to_decimal(double x) noexcept
    -> dragonbox::decimal_fp<double>;
template FMT_API detail::locale_ref::locale_ref(const std::locale& loc);
template FMT_API auto detail::locale_ref::get<std::locale>() const -> std::locale;
template FMT_API void detail::buffer<char>::append(const char*, const char*);
template FMT_API void detail::vformat_to(buffer<char>&, string_view,
                                         basic_format_args<FMT_BUFFER_CONTEXT(char)>, locale_ref);
FMT_END_NAMESPACE
