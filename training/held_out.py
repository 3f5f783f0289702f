"""In: nothing. Out: how duty officers, analysts and journalists put the twelve labels; nobody trains on a word of it.

Stops at the lists: `training.text_report` measures the head on them. Phrases of `training.phrases` that contain one
of these are dropped from training, so a phrase may be moved here without looking for its doubles.
"""


def _lines(text: str) -> tuple[str, ...]:
    """Phrases of a semicolon-separated block, blanks trimmed."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(";") if phrase.strip())


HELD_OUT: dict[str, tuple[str, ...]] = {
    "Water": _lines("""
        blue lake; wide river; body of water; sea water; the lake north of the dam; open sea off Brittany; a quiet cove;
        river channel with clear water; where the stream widens into a pool; a tarn in the hills; harbour basin;
        drinking water impoundment; watercourse; natural lakes of Finland; the Danube in spring; ocean near the shore;
        the fjord; large waterbody; lakes and rivers; watter; a mountain lake in summer; backwaters of the dam"""),
    "Trees": _lines("""
        wooded area; pine trees; jungle; forest canopy; old-growth woods; stands of fir; a thick green wood; undamaged
        woodland; beech and oak stands; intact rainforest in Brazil; treed slopes; the taiga in summer; a copse; tall
        trees along the valley; cedar groves; forrest; wooded hills in Bavaria; canopy of the Amazon; eucalyptus
        plantation; natural woodland, no damage; evergreen wood"""),
    "Grass": _lines("""
        grassy field; pastures; lush meadow; sheep pasture; turf; the pampas; mown hay fields; parched grass in August;
        rough grazing; grassy hills of Ireland; a green sward; range for cattle; grass-covered plain; high grassland;
        paddock; gras land; savannah with short grass; downs; uncultivated grassy land"""),
    "Flooded Vegetation": _lines("""
        marshland; swampy wetland; mangrove swamp; reeds in shallow water; cypress swamp; papyrus beds; the wetlands of
        the Pantanal; soggy fen; sedge marsh; everglades; trees standing in water; wet mangroves; boggy ground with
        reeds; tidal marsh; bayou; wetlandss; swamp forest in Congo; rice plants under water; cattail stands; quagmire;
        peat swamp"""),
    "Crops": _lines("""
        farm fields; agricultural land; corn; harvested wheat; soy fields; tilled land; rows of maize; cereal fields; a
        field of sunflowers; farmed plots; land under the plough; rapeseed in bloom; cotton plantation; irrigated farm
        circles; potato fields in Poland; the harvest in Ukraine; crop land; agricultral fields; grain growing region;
        smallholder plots; sugar beet fields; cultivated parcels in June; farming landscape"""),
    "Shrub and Scrub": _lines("""
        brushland; scrubland; low shrubs; thickets; gorse and broom; mallee; bushveld; macchia; brush; thorn bushes on
        dry hills; scattered bushes; shrubby hillside; fynbos; scrubb; dwarf shrubs; heather moorland; creosote bush;
        the bush in Namibia; hillsides of rosemary and juniper bushes; shrub-covered slopes"""),
    "Built": _lines("""
        urban settlement; town with houses; streets and buildings; residential neighbourhood; city centre; rooftops;
        office blocks; apartment buildings; downtown; shopping malls and car parks; hamlet; built-up land; dense housing
        in Lagos; the outskirts of Madrid; an industrial estate; megacity; homes; urban sprawl; bildings; city of Rome;
        factories and warehouses; streets of the old town; populated place; shanty town"""),
    "Bare": _lines("""
        sand dunes; barren rocky ground; bare earth; scree; naked rock; desert plain; sand and stones; lifeless ground;
        the Sahara; no vegetation at all; gravel plain; dry lake bed; clay pan; stony plateau; sterile soil; lava rock;
        rocky outcrops; wasteland without plants; dessert sand; eroded badlands; cliffs; open pit; sandy wastes"""),
    "Snow and Ice": _lines("""
        snowy landscape; glacier ice; snow field in winter; snowpack; frozen ground covered in white; icy peaks;
        snowed-in village; Arctic ice; fields under snow; heavy snowfall in Norway; ice shelf; frosty white hills;
        alpine glaciers; snow-capped summits; sleet and snow cover; powder snow; snoww; wintery snow blanket; firn; ice
        cover on the lake; drifts of snow"""),
    "Flooded Area": _lines("""
        inundated fields; flooded meadows; deluge; submerged fields; flood waters; rising waters cover the plain; the
        river has burst its banks; streets under water; homes swamped by the storm; waterlogged cropland; flooding in
        Pakistan; monsoon floods in Bangladesh; villages cut off by high water; overflow of the Po; farmland drowned
        after days of rain; a dam break has flooded the valley; spate; overtopped levees; fields turned into lakes;
        inundations along the Rhine in January; floodded area; land swallowed by the river; flooded crops; standing
        water on farmland after the storm; cyclone floods near the coast; flood-hit district; extent of the inundation;
        a flooded town in Germany; areas hit by flooding; high water in the lowlands; roads impassable because of
        flooding; submerged villages; flooded homes in Valencia; flod water; damage from floods; water everywhere after
        the hurricane; fields beneath flood water; swollen river over fields; flood plain under water; an overflowing
        stream; temporary lake after heavy rain; torrential rain flooded towns"""),
    "Earthquake Damage": _lines("""
        buildings reduced to rubble; collapsed houses; flattened neighbourhood after the quake; heaps of debris in town;
        houses destroyed by the tremor; pancaked apartment blocks; the earthquake in Turkey; wrecked city blocks;
        toppled buildings; quake-hit town; earthquake zone; destroyed homes; damage to buildings after the 7.8 shock;
        city in ruins; severely damaged structures; a school that fell down in the earthquake; earthquke damage; razed
        houses; cracked and fallen walls; seismic destruction in Nepal; collapse of residential buildings; devastated
        town after aftershocks; urban destruction; people trapped under collapsed concrete; crumbled houses;
        earthquake-stricken villages in Morocco; broken buildings; magnitude 7 quake; ruined city; building damage"""),
    "Burned Area": _lines("""
        charred forest; burnt land; scorched woodland; wildfire scar; forest destroyed by fire; burned hillsides; where
        the fire went through; blackened slopes in Evia; land consumed by flames; a bushfire has razed the scrub;
        torched woodland; fires in California; incinerated trees; ground covered with ash; fire aftermath; charred
        remains of pines; wildfires destroyed hectares of forest; burn mark; area affected by fire; heath that burned in
        April; the footprint of the fire; scorched earth after the blaze; woods lost to the flames; grass fire scar;
        burnt scrub in Portugal; charcoal-black ground; forest fires in Greece last summer; burned-out forest; a blaze
        ravaged the hills; fire-ravaged land; burnd area; wildfier; singed vegetation; post-fire damage; high severity
        burn; mountainside burned by wildfire; fire-scarred terrain; burnt acreage; extent of the wildfire; charred
        hills; forest burned to the ground; vegetation lost in the fire; burnt stand"""),
}
"""Phrases per label that only validation sees: synonyms, sentences, places, seasons, misspellings."""

FRAMES: tuple[str, ...] = (
    "{}",
    "Please alert me about {}",
    "Where can I see {}?",
    "looking for {} in this region",
    "{}, Sentinel-1",
    "image shows {} last week",
    "our team needs to know where there is {}",
)
"""Ways to ask that training never sees."""

NEAR_MISSES: tuple[tuple[str, str, str], ...] = (
    ("green forest", "Trees", "Burned Area"),
    ("forest that has not burned", "Trees", "Burned Area"),
    ("healthy pines", "Trees", "Burned Area"),
    ("freshly ploughed dark field", "Crops", "Burned Area"),
    ("stubble fields", "Crops", "Burned Area"),
    ("dark volcanic soil", "Bare", "Burned Area"),
    ("dry heath", "Shrub and Scrub", "Burned Area"),
    ("a large river", "Water", "Flooded Area"),
    ("hydropower reservoir", "Water", "Flooded Area"),
    ("permanent lake", "Water", "Flooded Area"),
    ("dry river bank", "Bare", "Flooded Area"),
    ("irrigated fields", "Crops", "Flooded Area"),
    ("marsh with reeds", "Flooded Vegetation", "Flooded Area"),
    ("melting snow", "Snow and Ice", "Flooded Area"),
    ("wet snow", "Snow and Ice", "Flooded Area"),
    ("frozen river", "Snow and Ice", "Water"),
    ("intact town", "Built", "Earthquake Damage"),
    ("apartment houses", "Built", "Earthquake Damage"),
    ("rocks and boulders", "Bare", "Earthquake Damage"),
    ("stone quarry", "Bare", "Earthquake Damage"),
    ("burnt forest", "Burned Area", "Trees"),
    ("forest after a wildfire", "Burned Area", "Trees"),
    ("burnt fields", "Burned Area", "Crops"),
    ("burned bushland", "Burned Area", "Shrub and Scrub"),
    ("burnt pasture", "Burned Area", "Grass"),
    ("flooded forest road", "Flooded Area", "Trees"),
    ("flooded city streets", "Flooded Area", "Built"),
    ("flooded river bank", "Flooded Area", "Water"),
    ("flooded cropland", "Flooded Area", "Crops"),
    ("crumbling buildings after the shock", "Earthquake Damage", "Built"),
    ("mangroves", "Flooded Vegetation", "Water"),
    ("wheat stubble", "Crops", "Bare"),
)
"""A phrase, the label it means, and the label it must not be taken for."""

STRANGERS: tuple[str, ...] = _lines("""
    a cat asleep on the keyboard; quarterly earnings; chocolate cake; violin concerto; prime minister's speech; tax
    form; a tennis player; romantic comedy; wedding dress; blood test; machine learning paper; bus timetable; blue
    jeans; chess opening; grandmother's birthday; a glass of beer; vitamin tablets; password reset; theory of
    relativity; hello; what time is it; lorem ipsum dolor sit amet; asdf qwerty; thank you very much; the
    meaning of life; flooded with emails; market flooded with cheap goods; firing an employee; fire sale; fireplace;
    burn a CD; heartburn; burnout at work; cash crop of memes; snowball effect; ice cream; tree data structure;
    water polo; grass roots party; built-in function; bare feet; concrete example; a river of tears; data lake;
    frozen bank account; crop a photograph; desert island discs; earthquake in the stock market; city council
    election; burning question; ice hockey""")
"""Sentences that no chip shows, many with the labels' words in another sense."""

OTHER_FIELDS: tuple[str, ...] = _lines("""
    landslide; mudslide; oil spill; algal bloom; volcanic eruption; lava flow; ash plume; tornado track; hail
    damage; windthrow; bark beetle outbreak; illegal logging; clear-cut; ships at anchor; aircraft on an apron;
    solar farm; wind turbines; refugee camp; drought; dust storm; coral reef; locust swarm; air pollution; military
    convoy; pipeline leak; railway line; coastal erosion; thunderstorm clouds; avalanche; plastic waste; container
    terminal; methane plume; whale""")
"""Words of the field outside the labels: they should be no label's, and stay apart from each other."""
