"""In: nothing. Out: sentences that no chip answers: daily life, the labels' words in another sense, other disasters.

Stops at the lists: they are negatives everywhere, and the head keeps them apart from each other.
"""


def _split(text: str) -> tuple[str, ...]:
    """Phrases of a comma-separated block, blanks trimmed."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


UNRELATED: tuple[str, ...] = _split("""
    a cat on a sofa, an invoice, football match, piano music, portrait of a woman, cooking recipe, stock market,
    computer program, love letter, wedding party, dinner plate, bicycle, shoes, a dog, a bottle of wine, guitar,
    theatre, poem, mathematics, a smiling child, television, election, museum painting, telephone, bedroom, dentist,
    basketball, chess, fashion, handwriting, kitchen, sculpture, hospital ward, birthday cake, jazz concert, annual
    report, job interview, tax return, chemistry lesson, a novel, hotel booking, train ticket, coffee cup, weekend
    plans, software update, login page, credit card, court ruling, parliament vote, trade agreement, interest rates,
    inflation, a new smartphone, video game, film festival, pop singer, opera, ballet dancer, golf tournament,
    marathon runner, swimming lesson, yoga class, diet plan, pizza, chicken soup, apple pie, red wine, tea with
    milk, breakfast, baby clothes, sewing machine, haircut, perfume, a gold ring, old photographs, family tree,
    grandfather, best friend, school exam, university degree, history of Rome, philosophy, physics equation, protein
    structure, brain scan, vaccine, heart surgery, headache, insurance policy, rental contract, spare parts, car
    engine, motorbike, elevator, light bulb, battery, screwdriver, wooden chair, pillow, carpet, newspaper article,
    radio show, podcast, crossword puzzle, magic trick, joke, prayer, ghost story, dream, happiness, anger,
    politics, a list of names, telephone number, good morning, how are you, yes, nothing, word, random text, test,
    abc, the end, an email from a colleague, minutes of the meeting, sales figures, web server error, database
    backup, Python script""")
"""Daily life."""

OTHER_SENSES: tuple[str, ...] = _split("""
    a flood of complaints, flooded market, flood of tears, fire the manager, under fire from critics, fire drill,
    firewall settings, fireworks, campfire songs, candle fire, burned calories, sunburn, burnt toast, burn rate of a
    startup, hot sauce burns, cropped picture, crop top, cream of the crop, harvest data, field of study, playing
    field, magnetic field, text field, forest plot of a study, random forest classifier, decision tree, christmas
    tree, tree of life, bottled water, water bill, water the plants, glass of water, bathroom with running water,
    lake house novel, stream a film, river dance, sea food, bank transfer, grass court tennis, president Bush, shrub
    the joke, bush meat, built to last, build a website, building a career, city football club, house music, home
    page, town hall meeting, bare minimum, bare bones, sand paper, rock music, rock star, sand castle, snow white,
    snowboarding holiday, ice cube, ice skating, ice in a drink, earthquake drill, shock wave of laughter, ruined
    evening, collapsed lung, collapsed marriage, economic collapse, damage control, brain damage, damaged
    reputation, swamped with work, marsh mallow, scar on the face, ash tree poem, scorched lips""")
"""Words of the labels that mean something else there."""

OTHER_EVENTS: tuple[str, ...] = _split("""
    landslides, rockfall, debris flow, volcano, erupting volcano, lava, volcanic ash, oil slick, oil on the sea,
    phytoplankton bloom, red tide, tornado, hailstorm, storm-felled trees, insect outbreak, logging roads, logging,
    deforestation front, mine tailings, strip mine, ships, cargo vessels, fishing boats, airplanes, fighter jets,
    photovoltaic panels, wind farm, tents of refugees, dry spell, sandstorm, iceberg, reef, locusts, smog, tanks and
    trucks, gas pipeline, railway, retreating coastline, cumulus clouds, snow avalanche, litter, shipping
    containers, gas flare, elephants, whales, contrail, oil rig, nuclear plant, bomb craters, trenches, aquaculture
    ponds""")
"""Other things that satellites see and the labels do not name: negatives, kept apart from each other."""
