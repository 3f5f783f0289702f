"""In: nothing. Out: the words people use for the twelve labels, and words that mean none of them.

Stops at the lists: sentences are built from them in `captions`. Held-out phrases are never trained on.
"""

LABELS: tuple[str, ...] = (
    "Water",
    "Trees",
    "Grass",
    "Flooded Vegetation",
    "Crops",
    "Shrub and Scrub",
    "Built",
    "Bare",
    "Snow and Ice",
    "Flooded Area",
    "Earthquake Damage",
    "Burned Area",
)
"""The label names of CrisisLandMark, in the order of its nine land-cover classes and three crises."""


def _split(text: str) -> tuple[str, ...]:
    """Phrases of a comma-separated block, blanks trimmed."""
    return tuple(phrase.strip() for phrase in text.split(",") if phrase.strip())


TRAINED: dict[str, tuple[str, ...]] = {
    "Water": _split("""
        water, open water, lake, reservoir, river, sea, ocean, pond, permanent water body, deep blue water,
        coastal water, estuary, lagoon, inland water, a large lake, dark calm water, water surface, shoreline and sea,
        dam reservoir, canal, fresh water, surface water, turbid river water, bay, strait between islands"""),
    "Trees": _split("""
        trees, forest, woodland, dense forest, conifer forest, broadleaf forest, pine plantation, tree cover,
        evergreen trees, deciduous woods, closed canopy, tropical rainforest, healthy forest, unburnt green forest,
        mixed forest, spruce stands, olive and fruit trees, forested hills, timber, leafy canopy, dark conifers,
        boreal forest, forest in mountain shadow"""),
    "Grass": _split("""
        grass, grassland, meadow, pasture, lawn, prairie, green grass, dry yellow grass, natural grassland, steppe,
        grazing land, herbaceous vegetation, savanna grass, alpine meadow, hay meadow, golf course, open rangeland"""),
    "Flooded Vegetation": _split("""
        flooded vegetation, wetland, marsh, swamp, mangroves, reed beds, peat bog, flooded rice paddy,
        vegetation standing in water, floodplain forest, inland marsh, salt marsh, bog and fen, aquatic plants,
        waterlogged vegetation"""),
    "Crops": _split("""
        crops, cropland, farmland, agricultural fields, arable land, wheat fields, maize field, harvested fields,
        stubble after harvest, ploughed fields, irrigated crops, farm parcels, growing crops, cultivated land,
        vineyard, barley and rape, freshly ploughed soil, agriculture, patchwork of fields, bare field between crops,
        center pivot irrigation, orchards and fields, dry crops in late summer"""),
    "Shrub and Scrub": _split("""
        shrub and scrub, shrubland, scrub, bushes, heathland, chaparral, maquis, sparse shrubs, sclerophyllous
        vegetation, moor, dry bushland, transitional woodland shrub, low woody vegetation, thorny scrub, sagebrush,
        semi-arid shrubs, garrigue hillside"""),
    "Built": _split("""
        built area, built, buildings, city, town, urban area, houses, residential area, industrial area, village,
        roads and roofs, suburb, settlement, dense city blocks, warehouses, airport, human settlement, urban fabric,
        commercial district, concrete and asphalt, intact houses"""),
    "Bare": _split("""
        bare, bare ground, bare soil, desert, sand, rock, barren land, dunes, gravel, quarry, rocky slope, dry soil,
        exposed soil, beach, arid land, stony desert, salt flat, bare rock, bad lands, dark volcanic rock,
        sandy plain, unvegetated ground"""),
    "Snow and Ice": _split("""
        snow and ice, snow, ice, glacier, snow cover, frozen lake, snowy mountains, fresh snow, ice sheet, snowfield,
        winter snow, wet melting snow, ice cap, permanent snow, snow covered fields"""),
    "Flooded Area": _split("""
        flooded area, flood, flooding, flood water, flooded fields, flooded farmland, inundated area, inundation,
        flood water over fields, river flood, flooded land, overflowing river, submerged farmland, flooded plain,
        flooded village, water covering farmland, land under water, flash flood, flood disaster, storm flooding,
        widespread flooding, flood extent, burst river banks, temporary flood water, muddy flood water,
        houses surrounded by flood water, areas inundated after heavy rain, flooded roads"""),
    "Earthquake Damage": _split("""
        earthquake damage, collapsed buildings, destroyed buildings, rubble, damage after an earthquake,
        earthquake, seismic damage, damaged city, ruined houses, building collapse, debris of buildings,
        quake destruction, structural damage, town destroyed by an earthquake, disaster damage to buildings"""),
    "Burned Area": _split("""
        burned area, burnt area, wildfire burn scar, burn scar, fire scar, wildfire, forest fire damage,
        burnt forest, burned vegetation, scorched land, charred vegetation, recently burned area, black ash,
        area burned by a wildfire, after the fire, forest fire, bushfire, burnt hillside, fire damage,
        vegetation destroyed by fire, burned shrubland, burned grassland, blackened ground after a fire,
        post-fire landscape, ash and char, severely burnt, burn severity, wildfire perimeter, fire"""),
}
"""Phrases per label that training sees; the label's own name is among them."""

COMBINED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Water": (_split("calm, deep, open, permanent, blue, clear"), _split("lake, water, river, reservoir, sea, bay")),
    "Trees": (
        _split("dense, green, healthy, unburnt, tall, coniferous, deciduous"),
        _split("forest, woodland, trees, pines, plantation, canopy"),
    ),
    "Grass": (_split("green, dry, grazed, natural, open, short"), _split("grassland, meadow, pasture, grass, prairie")),
    "Flooded Vegetation": (
        _split("wet, swampy, marshy, boggy, reedy"),
        _split("wetland, marsh, swamp, mangrove forest, reed bed"),
    ),
    "Crops": (
        _split("harvested, ploughed, irrigated, ripe, green, dry, cultivated, fallow"),
        _split("fields, cropland, farmland, wheat, maize, arable land"),
    ),
    "Shrub and Scrub": (
        _split("dry, sparse, dense, low, thorny, open"),
        _split("shrubland, scrub, bushes, shrubs, heath, chaparral"),
    ),
    "Built": (
        _split("dense, large, small, intact, modern, industrial"),
        _split("city, town, village, buildings, housing, suburb, factory area"),
    ),
    "Bare": (
        _split("dry, rocky, sandy, stony, barren, bare, eroded"),
        _split("ground, soil, desert, land, hills, slope, plain"),
    ),
    "Snow and Ice": (
        _split("fresh, deep, melting, permanent, white, winter"),
        _split("snow, snow cover, ice, snowfields, glacier"),
    ),
    "Flooded Area": (
        _split("flooded, inundated, submerged, waterlogged, swamped, drowned"),
        _split("farmland, village, streets, land, area, town, crops, roads, plain, houses, pasture"),
    ),
    "Earthquake Damage": (
        _split("collapsed, destroyed, damaged, ruined, wrecked, shattered"),
        _split("buildings, houses, town, city, homes, structures, apartment blocks"),
    ),
    "Burned Area": (
        _split("burned, burnt, scorched, charred, blackened, fire-damaged"),
        _split("forest, woodland, hillside, land, vegetation, shrubs, trees, grassland, area, ground, scar, slope"),
    ),
}
"""First and second words per label; every pair that is not held out is a phrase that training sees."""

HELD_OUT: dict[str, tuple[str, ...]] = {
    "Water": _split("blue lake, wide river, body of water, sea water"),
    "Trees": _split("wooded area, pine trees, jungle, forest canopy"),
    "Grass": _split("grassy field, pastures, lush meadow"),
    "Flooded Vegetation": _split("marshland, swampy wetland, mangrove swamp"),
    "Crops": _split("farm fields, agricultural land, corn, harvested wheat"),
    "Shrub and Scrub": _split("brushland, scrubland, low shrubs"),
    "Built": _split("urban settlement, town with houses, streets and buildings"),
    "Bare": _split("sand dunes, barren rocky ground, bare earth"),
    "Snow and Ice": _split("snowy landscape, glacier ice, snow field in winter"),
    "Flooded Area": _split("inundated fields, flooded meadows, deluge, submerged fields, flood waters"),
    "Earthquake Damage": _split("buildings reduced to rubble, collapsed houses"),
    "Burned Area": _split("charred forest, burnt land, scorched woodland, wildfire scar, forest destroyed by fire"),
}
"""Phrases per label that only validation sees."""

UNRELATED: tuple[str, ...] = _split("""
    a cat on a sofa, an invoice, football match, piano music, portrait of a woman, cooking recipe, stock market,
    computer program, love letter, wedding party, dinner plate, bicycle, shoes, a dog, a bottle of wine, guitar,
    theatre, poem, mathematics, a smiling child, television, election, museum painting, telephone, bedroom, dentist,
    basketball, chess, fashion, handwriting, kitchen, sculpture, hospital ward, birthday cake, jazz concert""")
"""Phrases that no chip shows: they are negatives everywhere."""

SEASONS: tuple[str, ...] = ("in spring", "in summer", "in autumn", "in winter", "in the dry season", "after rain")
"""Season words that may follow any phrase without changing what it asks for."""

REGIONS: tuple[str, ...] = _split("""
    in California, in Spain, in Portugal, in Greece, in Italy, in Germany, in Australia, in Brazil, in Kenya,
    in India, in Pakistan, in Bangladesh, in Japan, in Canada, in Turkey, in Chile, in Indonesia, in Nigeria,
    in the mountains, near the coast, in the valley, in the hills""")
"""Place words that may follow any phrase without changing what it asks for."""

VOCABULARY: tuple[str, ...] = _split("""
    deforestation, logging, clear-cut, landslide, mudslide, debris flow, lahar, avalanche, volcano, lava, eruption,
    ash plume, tsunami, storm surge, hurricane, cyclone, typhoon, tornado, hail, drought, desertification, erosion,
    glacial outburst, permafrost thaw, heatwave, frost, oil spill, algal bloom, eutrophication, sediment plume,
    pollution, tailings, mine, open-pit mining, excavation, dredging, levee, dyke, embankment, breach, spillway,
    drainage, irrigation canal, aquaculture, fish ponds, shrimp farm, rice paddies, sugarcane, soybeans, cotton,
    sunflowers, potatoes, sugar beet, alfalfa, pasture, livestock, cattle, poaching, greenhouse, polytunnels,
    solar panels, wind turbines, power line, pipeline, refinery, container port, shipyard, ships, vessels, runway,
    railway, motorway, highway, bridge, tunnel, stadium, quarry, landfill, refugee camp, tents, slum, informal
    settlement, airstrip, military vehicles, trenches, crater, shelling, explosion, warehouse fire, smoke, smouldering,
    peat fire, stubble burning, slash and burn, firebreak, regrowth, reforestation, afforestation, bark beetle,
    dieback, defoliation, windthrow, storm damage, uprooted trees, eucalyptus, juniper, larch, birch, poplar, acacia,
    palm oil, rubber plantation, cocoa, coffee, tea, vineyards, olive groves, almond orchards, citrus, banana,
    mangroves, seagrass, coral reef, kelp, tidal flat, mudflat, sandbank, dune, spit, barrier island, delta, oxbow,
    meander, floodplain, riparian, wadi, playa, salt pan, oasis, sabkha, badlands, escarpment, moraine, fjord, crevasse,
    iceberg, sea ice, meltwater, snowmelt, slush, firn, tundra, taiga, steppe, savannah, chaparral, fynbos, cerrado,
    pampas, moorland, heather, bracken, gorse, broom, sagebrush, tussock, lichen, moss, backscatter, speckle, layover,
    shadow, reflectance, infrared, spectral, multispectral, radar, polarisation, coherence, Sentinel, Copernicus,
    satellite, burnt scar severity, inundated, submerged, waterlogged, rubble, aftershock, epicentre, liquefaction""")
"""Words of the field whose word pieces stay in the text tower's vocabulary, though no chip shows most of them."""
