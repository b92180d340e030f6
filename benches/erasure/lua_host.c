/* lua_host: runs a Lua script from a file in an interpreter without files, processes or clocks, so
 * that the same script does the same work everywhere. Links against the sources of Lua 5.4.
 *
 * Usage: lua_host SCRIPT [ARGUMENT] */
#include <stdio.h>
#include <stdlib.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},        {LUA_TABLIBNAME, luaopen_table},
    {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
    {LUA_COLIBNAME, luaopen_coroutine},
};

int main(int argc, char **argv) {
    static char script[65536];
    if (argc < 2) return 2;
    FILE *file = fopen(argv[1], "rb");
    if (file == NULL) return 2;
    size_t bytes = fread(script, 1, sizeof script, file);
    fclose(file);
    lua_State *state = luaL_newstate();
    if (state == NULL) return 1;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(state, libraries[i].name, libraries[i].func, 1);
        lua_pop(state, 1);
    }
    lua_pushstring(state, argc > 2 ? argv[2] : "");
    lua_setglobal(state, "argument");
    int failed = luaL_loadbuffer(state, script, bytes, "script") || lua_pcall(state, 0, 0, 0);
    if (failed) fprintf(stderr, "%s\n", lua_tostring(state, -1));
    lua_close(state);
    return failed ? 1 : 0;
}
