"""In: nothing. Out: the words people use for the twelve labels, and words that mean none of them.

Stops at the lists: sentences are built from them in `captions`. Held-out phrases are never trained on.
"""

from simulation import labels as simulation_labels

LABELS: tuple[str, ...] = simulation_labels.LABELS
"""The label names of CrisisLandMark, in the order of its nine land-cover classes and three crises."""


def _split(text: str) -> tuple[str, ...]:
    """Phrases of a comma-separated block, blanks trimmed."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


TRAINED: dict[str, tuple[str, ...]] = {
    "Water": _split("""
        water, open water, lake, reservoir, river, sea, ocean, pond, permanent water body, deep blue water, coastal
        water, estuary, lagoon, inland water, a large lake, dark calm water, water surface, shoreline and sea, dam
        reservoir, canal, fresh water, surface water, turbid river water, bay, strait between islands, lakes, rivers,
        permanent water, perennial river, the sea, waters of a gulf, stream, creek, the ocean, open ocean, lake shore,
        water storage behind a dam, wind-free lake, still water, shipping channel, fish pond, loch, river mouth, inlet,
        tributary, waterway, brook, oxbow lake, marina, crater lake, sound, tidal channel, artificial lake, farm pond,
        salt lake, cold mountain stream, rapids, offshore waters"""),
    "Trees": _split("""
        trees, forest, woodland, dense forest, conifer forest, broadleaf forest, pine plantation, tree cover, evergreen
        trees, deciduous woods, closed canopy, tropical rainforest, healthy forest, unburnt green forest, mixed forest,
        spruce stands, olive and fruit trees, forested hills, timber, leafy canopy, dark conifers, boreal forest, forest
        in mountain shadow, woods, unburnt forest, living trees, forests, oak forest, birch wood, forest that is not
        damaged, timber plantation, montane forest, cloud forest, tree stand, larch forest, grove, acacia trees,
        redwoods, wooded valley, poplars, alder wood, afforested land, gallery forest, dry deciduous forest, parkland
        trees, tree line, mahogany and teak, wildwood, dense jungle vegetation"""),
    "Grass": _split("""
        grass, grassland, meadow, pasture, lawn, prairie, green grass, dry yellow grass, natural grassland, steppe,
        grazing land, herbaceous vegetation, savanna grass, alpine meadow, hay meadow, golf course, open rangeland,
        grasslands, meadows, tall grass, short grass, unburnt grassland, pasture land, grassy hills, cattle pasture,
        herbaceous cover, grass cover, dry grassland, grassy plain, veld, campo grassland, grass verge, fodder grass,
        bunch grass, tundra grass, llanos, puna grassland, ranch land, cow pasture, moist meadow, clover meadow, hay,
        wild grasses"""),
    "Flooded Vegetation": _split("""
        flooded vegetation, wetland, marsh, swamp, mangroves, reed beds, peat bog, flooded rice paddy, vegetation
        standing in water, floodplain forest, inland marsh, salt marsh, bog and fen, aquatic plants, waterlogged
        vegetation, wetlands, swamps, mangrove forest, mangrove, peatland, fen, bog, marshes, reeds, rice paddies,
        plants growing in water, swamp forest, flooded trees, emergent vegetation, wet meadow with reeds, mire, bogland,
        lily pads, waterlogged forest, delta marsh, rushes and sedges, sphagnum bog, lagoon reeds, vegetated wetland,
        varzea, muskeg, wet rice fields, reed swamp, wetland plants, boggy meadow"""),
    "Crops": _split("""
        crops, cropland, farmland, agricultural fields, arable land, wheat fields, maize field, harvested fields,
        stubble after harvest, ploughed fields, irrigated crops, farm parcels, growing crops, cultivated land, vineyard,
        barley and rape, freshly ploughed soil, agriculture, patchwork of fields, bare field between crops, center pivot
        irrigation, orchards and fields, dry crops in late summer, farms, fields, wheat, farming, maize, vineyards,
        orchards, ploughed field, ploughed soil, stubble, harvest, sugarcane, plantation of vegetables, fallow land,
        unburnt stubble, sown fields, horticulture, agricultural plots, agricultural area, rye and oats, sorghum,
        cassava, peanuts, tea estate, tobacco, onions, vegetable plots, cropping season, seedlings in rows, terraced
        fields, strip fields, grain, olive groves and orchards, ripening cereals, croplands"""),
    "Shrub and Scrub": _split("""
        shrub and scrub, shrubland, scrub, bushes, heathland, chaparral, maquis, sparse shrubs, sclerophyllous
        vegetation, dry bushland, transitional woodland shrub, low woody vegetation, thorny scrub, sagebrush, semi-arid
        shrubs, garrigue hillside, shrubs, bush, bushland, shrub, heath, heather, matorral, unburnt shrubland, shrub
        cover, desert scrub, moorland, juniper bushes, caatinga, woody shrubs, mesquite, saltbush, tamarisk, acacia
        scrub, bramble, undergrowth, coastal scrub, karoo, cactus scrub, tundra shrubs, sage and thyme, dense low
        bushes, spiny bushes, dwarf birch, mulga, scrubby vegetation, tall shrubs"""),
    "Built": _split("""
        built area, built, buildings, city, town, urban area, houses, residential area, industrial area, village, roads
        and roofs, suburb, settlement, dense city blocks, warehouses, airport, human settlement, urban fabric,
        commercial district, concrete and asphalt, intact houses, cities, towns, villages, roads, streets, intact
        buildings, undamaged town, housing estate, built-up area, metropolis, urban land, factory, infrastructure,
        suburbs, houses and gardens, slum, capital city, port city, high-rise buildings, skyscrapers, built environment,
        residential blocks, blocks of flats, offices, shops, parking lots, township, farmhouses, hotels, inhabited area,
        business quarter, tin roofs, rail yard and sheds, housing blocks, dwelling houses, cottages"""),
    "Bare": _split("""
        bare, bare ground, bare soil, desert, sand, rock, barren land, dunes, gravel, quarry, rocky slope, dry soil,
        exposed soil, beach, arid land, stony desert, salt flat, bare rock, bad lands, dark volcanic rock, sandy plain,
        unvegetated ground, deserts, rocks, barren, rocky land, soil without plants, bare mountains, stones, sandy
        desert, open sand, cracked dry ground, barren soil, rock debris, stony ground, salt pan, dry river bed, land
        without vegetation, pebbles, talus slope, boulder field, mountain rock, wadi, sandbank, mudflat, dust and
        stones, limestone pavement, gully erosion, baked clay, gypsum, open soil, denuded land"""),
    "Snow and Ice": _split("""
        snow and ice, snow, ice, glacier, snow cover, frozen lake, snowy mountains, fresh snow, ice sheet, snowfield,
        winter snow, wet melting snow, ice cap, permanent snow, snow covered fields, glaciers, snow melt, snow on
        fields, deep snow, frozen river, snow-covered land, polar ice, frozen water, snow on mountains, wet snow, ice
        field, snowfall, snow covered forest, frozen landscape, melting glacier, white snow, ice floe, icy lake,
        snowdrift, hoarfrost, icefall, ice tongue, snowy fields, nival zone, arctic snow, frozen sea, icy ground,
        thawing snow, sea ice"""),
    "Flooded Area": _split("""
        flooded area, flood, flooding, flood water, flooded fields, flooded farmland, inundated area, inundation, flood
        water over fields, river flood, flooded land, overflowing river, submerged farmland, flooded plain, flooded
        village, water covering farmland, land under water, flash flood, flood disaster, storm flooding, widespread
        flooding, flood extent, burst river banks, temporary flood water, muddy flood water, houses surrounded by flood
        water, areas inundated after heavy rain, flooded roads, floods, flooded, inundated, submerged land, a village
        under water, fields covered by water, monsoon flooding, storm surge flooding, floodwater in the streets, river
        out of its banks, levee breach, flooded houses, severe floods, flooded river bank, water over roads and houses,
        houses standing in water, flooding after a dam break, flood affected area, drowned crops, swamped streets,
        flooded city, damage caused by flooding, heavy rain caused flooding, new water on farmland, flooded basin,
        flooded lowlands, coastal flooding, flood emergency, flood victims, overflow, high flood, water masses, water
        level above the banks, flooded terrain, watery fields after the storm, soaked and submerged land, torrent
        through the village, rain flood, flood plain inundated, glacial lake outburst flood, tsunami flooding, river
        overflow, breached dyke and flooded polder, flooded crossing, flood zone, flooded parks, people stranded by
        floods, boats in the streets, lake formed by the flood, flooding of homes, flood hazard map"""),
    "Earthquake Damage": _split("""
        earthquake damage, collapsed buildings, destroyed buildings, rubble, damage after an earthquake, earthquake,
        seismic damage, damaged city, ruined houses, building collapse, debris of buildings, quake destruction,
        structural damage, town destroyed by an earthquake, disaster damage to buildings, earthquakes, quake, earthquake
        rubble, earthquake ruins, ruins, demolished houses, earthquake destruction, fallen buildings, destroyed city,
        destroyed town, destroyed village, damaged buildings, damaged houses, houses in ruins, strong earthquake, a town
        hit by an earthquake, earthquake disaster, debris after an earthquake, buildings destroyed by a quake,
        earthquake victims, wreckage of houses, heavily damaged district, collapsed apartment block, collapsed roofs,
        urban damage, tremor damage, shaken town, rubble of houses, leveled buildings, smashed houses, shattered
        concrete, caved-in roofs, town turned to ruins, quake zone, seismic event, earthquake affected area, broken
        walls, building debris, search and rescue in rubble, destroyed infrastructure, houses that collapsed, disaster
        ruins, damage grade, quake damage, seismic ruins"""),
    "Burned Area": _split("""
        burned area, burnt area, wildfire burn scar, burn scar, fire scar, wildfire, forest fire damage, burnt forest,
        burned vegetation, scorched land, charred vegetation, recently burned area, black ash, area burned by a
        wildfire, after the fire, forest fire, bushfire, burnt hillside, fire damage, vegetation destroyed by fire,
        burned shrubland, burned grassland, blackened ground after a fire, post-fire landscape, ash and char, severely
        burnt, burn severity, wildfire perimeter, fire, burned, burnt, fires, wildfires, burned land, burn area, burned
        trees, dead burnt trees, burned soil, brush fire, grass fire, savanna fire, burned savanna, fire perimeter,
        extent of the fire, land after a fire, ashes, charcoal, forest after a fire, forest after a wildfire, burned
        fields, burnt pasture, charred trees, charred, blackened forest, fire affected area, scorched trees, low
        severity burn, moderate severity burn, old burn scar, fresh burn scar, agricultural burning, prescribed burn,
        burned peatland, crown fire, fire line, conflagration, firestorm, vegetation fire, landscape fire, hectares
        burned, burned hectares, fire scars, burn patch, burned patches, black burnt ground, smouldering remains, sooty
        ground, land blackened, ash-covered hills, seared vegetation, fire-killed trees, woods on fire, burning forest,
        ground burnt bare, dead black trees, fire-swept hills, bush burnt, fire season damage, arson, pyrogenic damage,
        scorched fields"""),
}
"""Phrases per label that training sees; the label's own name is among them."""

Product = tuple[tuple[str, ...], ...]
"""Slots of words; each way through them is a phrase."""

COMBINED: dict[str, tuple[Product, ...]] = {
    "Water": (
        (_split("calm, deep, open, permanent, blue, clear, large"), _split("lake, water, river, reservoir, sea, bay")),
        (_split("water of, shore of, surface of"), _split("a lake, a reservoir, the sea, the river")),
    ),
    "Trees": (
        (
            _split("dense, green, healthy, unburnt, tall, coniferous, deciduous, undisturbed"),
            _split("forest, woodland, trees, pines, plantation, canopy"),
        ),
        (_split("hills, slopes, land, mountains"), ("covered with", "full of"), _split("trees, forest, pines, oaks")),
    ),
    "Grass": (
        (_split("green, dry, grazed, natural, open, short"), _split("grassland, meadow, pasture, grass, prairie")),
        (_split("hills, land, plain"), ("covered with", "under"), _split("grass, pasture, meadow grass")),
    ),
    "Flooded Vegetation": (
        (_split("wet, swampy, marshy, boggy, reedy"), _split("wetland, marsh, swamp, mangrove forest, reed bed")),
        (_split("plants, reeds, mangroves, shrubs"), _split("standing in water, growing in a swamp, of the marsh")),
    ),
    "Crops": (
        (
            _split("harvested, ploughed, irrigated, ripe, green, dry, cultivated, fallow"),
            _split("fields, cropland, farmland, wheat, maize, arable land"),
        ),
        (_split("fields of, rows of, land for growing"), _split("wheat, maize, rice, vegetables, cotton, barley")),
    ),
    "Shrub and Scrub": (
        (_split("dry, sparse, dense, low, thorny, open"), _split("shrubland, scrub, bushes, shrubs, heath, chaparral")),
        (_split("hills, land, slopes"), ("covered with", "full of"), _split("shrubs, bushes, scrub, heather")),
    ),
    "Built": (
        (
            _split("dense, large, small, intact, modern, industrial, undamaged"),
            _split("city, town, village, buildings, housing, suburb, factory area"),
        ),
        (_split("houses, roads, buildings"), ("of a", "in a"), _split("town, village, big city, suburb")),
    ),
    "Bare": (
        (
            _split("dry, rocky, sandy, stony, barren, bare, eroded"),
            _split("ground, soil, desert, land, hills, slope, plain"),
        ),
        (_split("land, ground, hills"), _split("without plants, without vegetation, of rock, of sand, of gravel")),
    ),
    "Snow and Ice": (
        (
            _split("fresh, deep, melting, permanent, white, winter"),
            _split("snow, snow cover, ice, snowfields, glacier"),
        ),
        (
            _split("fields, mountains, forest, lake, village, plain"),
            _split("covered with snow, under snow and ice, white with snow, in deep snow"),
        ),
    ),
    "Flooded Area": (
        (
            _split("flooded, inundated, submerged, waterlogged, swamped, drowned"),
            _split("farmland, village, streets, land, area, town, crops, roads, plain, houses, pasture, forest"),
        ),
        (
            _split("farmland, villages, fields, houses, the town, streets, the valley, pasture"),
            _split("under water, covered by flood water, after the flood, hit by floods, cut off by floods"),
        ),
        (
            _split("the river, heavy rain, a storm, a cyclone, a dam failure, the monsoon"),
            _split("flooded, has flooded, inundated, submerged, has put under water"),
            _split("the fields, the town, farmland, villages, the lowlands, homes"),
        ),
    ),
    "Earthquake Damage": (
        (
            _split("collapsed, destroyed, damaged, ruined, wrecked, shattered, toppled, flattened"),
            _split("buildings, houses, town, city, homes, structures, apartment blocks, district"),
        ),
        (
            _split("buildings, houses, homes, the town, the city, apartment blocks, a school"),
            _split("destroyed by an earthquake, in ruins, turned to rubble, that collapsed, damaged by the quake"),
        ),
        (
            _split("the earthquake, a quake, a strong tremor, an aftershock, the seismic shock"),
            _split("destroyed, damaged, brought down, shattered, flattened, hit"),
            _split("the town, the city, buildings, houses, apartment blocks, the village"),
        ),
    ),
    "Burned Area": (
        (
            _split("burned, burnt, scorched, charred, blackened, fire-damaged, torched, burned-over, severely burnt"),
            _split("forest, woodland, hillside, land, vegetation, shrubs, trees, grassland, area, ground, scar, slope"),
        ),
        (
            _split("forest, hills, vegetation, scrubland, pines, grassland, land, the park, a plantation"),
            _split("destroyed by fire, burned by a wildfire, after the fire, turned to ash, blackened by flames"),
        ),
        (
            _split("a fire, the wildfire, a bushfire, flames, the forest fire"),
            _split("burned, destroyed, consumed, scorched, swept through, devastated, blackened"),
            _split("the forest, the hills, scrubland, pine woods, pastures, the mountainside, olive groves"),
        ),
    ),
}
"""Products per label; those that contain a held-out phrase are left out."""

SEASONS: tuple[str, ...] = _split("""
    in spring, in summer, in autumn, in winter, in the dry season, in the rainy season, after rain, last week, this
    year, in August, in January, in May, in October, in early summer, in late autumn, yesterday, last month, since
    2020""")
"""Season and time words that may follow any phrase without changing what it asks for."""

REGIONS: tuple[str, ...] = _split("""
    in California, in Spain, in Portugal, in Greece, in Italy, in Germany, in Australia, in Brazil, in Kenya, in
    India, in Pakistan, in Bangladesh, in Japan, in Canada, in Turkey, in Chile, in Indonesia, in Nigeria, in the
    mountains, near the coast, in the valley, in the hills, in Nepal, in Mozambique, in Texas, in Sudan, in Ukraine,
    in Poland, in France, in the Philippines, in Vietnam, in Mexico, in Peru, in Morocco, in Siberia, in Sweden, in
    Iran, in China, on the island, near the border, around the capital, along the river, in the north, in the
    national park, at the foot of the hills, in southern Europe, in the Sahel, in Central Asia, in the tropics""")
"""Place words that may follow any phrase without changing what it asks for."""

VOCABULARY: tuple[str, ...] = _split("""
    deforestation, logging, clear-cut, landslide, mudslide, debris flow, lahar, avalanche, volcano, lava, eruption,
    ash plume, tsunami, storm surge, hurricane, cyclone, typhoon, tornado, hail, drought, desertification, erosion,
    glacial outburst, permafrost thaw, heatwave, frost, oil spill, algal bloom, eutrophication, sediment plume,
    pollution, tailings, mine, open-pit mining, excavation, dredging, levee, dyke, embankment, breach, spillway,
    drainage, irrigation canal, aquaculture, fish ponds, shrimp farm, rice paddies, sugarcane, soybeans, cotton,
    sunflowers, potatoes, sugar beet, alfalfa, pasture, livestock, cattle, poaching, greenhouse, polytunnels, solar
    panels, wind turbines, power line, pipeline, refinery, container port, shipyard, ships, vessels, runway,
    railway, motorway, highway, bridge, tunnel, stadium, quarry, landfill, refugee camp, tents, slum, informal
    settlement, airstrip, military vehicles, trenches, crater, shelling, explosion, warehouse fire, smoke,
    smouldering, peat fire, stubble burning, slash and burn, firebreak, regrowth, reforestation, afforestation, bark
    beetle, dieback, defoliation, windthrow, storm damage, uprooted trees, eucalyptus, juniper, larch, birch,
    poplar, acacia, palm oil, rubber plantation, cocoa, coffee, tea, vineyards, olive groves, almond orchards,
    citrus, banana, mangroves, seagrass, coral reef, kelp, tidal flat, mudflat, sandbank, dune, spit, barrier
    island, delta, oxbow, meander, floodplain, riparian, wadi, playa, salt pan, oasis, sabkha, badlands, escarpment,
    moraine, fjord, crevasse, iceberg, sea ice, meltwater, snowmelt, slush, firn, tundra, taiga, steppe, savannah,
    chaparral, fynbos, cerrado, pampas, moorland, heather, bracken, gorse, broom, sagebrush, tussock, lichen, moss,
    backscatter, speckle, layover, shadow, reflectance, infrared, spectral, multispectral, radar, polarisation,
    coherence, Sentinel, Copernicus, satellite, burnt scar severity, inundated, submerged, waterlogged, rubble,
    aftershock, epicentre, liquefaction""")
"""Words of the field whose word pieces stay in the text tower's vocabulary, though no chip shows most of them."""
