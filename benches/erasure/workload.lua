-- Trees, strings and tables that come and go: what a program with a garbage collector does.
local scale = tonumber(argument) or 10

local function tree(depth)
    if depth == 0 then return {} end
    return {tree(depth - 1), tree(depth - 1)}
end

local function count(node)
    if not node[1] then return 1 end
    return 1 + count(node[1]) + count(node[2])
end

local nodes = 0
for i = 1, scale * 4 do nodes = nodes + count(tree(10 + i % 3)) end

local words, total = {}, 0
for i = 1, scale * 2000 do
    local word = string.format("%08x", (i * 2654435761) % 4294967296)
    words[i % 997 + 1] = word .. word:reverse() .. (words[(i * 7) % 997 + 1] or ""):sub(1, 24)
    if i % 500 == 0 then
        local copy = {}
        for _, text in pairs(words) do copy[#copy + 1] = text end
        table.sort(copy)
        total = total + #table.concat(copy, ",")
    end
end
print(nodes, total)
