"""In: nothing. Out: words for the twelve labels in eight languages other than English, to train on and to hold out.

Stops at the lists. MiniLM read little but English: these are spelt from short pieces, so the head learns words rather
than languages. Which languages are good enough is measured by `training.text_report` and said in the model card.
"""

from simulation.labels import LABELS


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """One line a label in the order of `LABELS`, phrases separated by commas."""
    lines = [tuple(p.strip() for p in line.split(",") if p.strip()) for line in text.strip().splitlines()]
    return dict(zip(LABELS, lines, strict=True))


FOREIGN: dict[str, dict[str, tuple[str, ...]]] = {
    "es": _table("""
        agua, lago, río, mar, embalse, laguna, masa de agua, aguas costeras
        árboles, bosque, pinar, arbolado, bosque denso, selva, bosque sano
        hierba, pradera, pastizal, pasto, prado verde, dehesa
        humedal, pantano, manglar, marisma, vegetación inundada, ciénaga
        cultivos, campos de cultivo, tierras agrícolas, trigo, maíz, campos arados, viñedos, rastrojo
        matorral, arbustos, monte bajo, arbustos secos, maquia
        zona urbana, ciudad, edificios, pueblo, casas, área edificada, polígono industrial
        suelo desnudo, desierto, arena, roca, dunas, tierra seca sin vegetación
        nieve y hielo, nieve, hielo, glaciar, montañas nevadas
        zona inundada, inundación, campos inundados, agua de inundación, río desbordado, pueblo inundado, riada
        daños por terremoto, terremoto, edificios derrumbados, escombros, casas destruidas por el seísmo
        área quemada, incendio forestal, bosque quemado, cicatriz de incendio, zona quemada, cenizas"""),
    "fr": _table("""
        eau, lac, rivière, mer, fleuve, réservoir, étang, plan d'eau
        arbres, forêt, bois, forêt dense, pins, forêt saine, couvert forestier
        herbe, prairie, pâturage, pré, prairie verte, pelouse
        zone humide, marais, mangrove, végétation inondée, tourbière, marécage
        cultures, champs cultivés, terres agricoles, blé, maïs, champs labourés, vignobles, chaumes
        arbustes, broussailles, garrigue, maquis, lande, fourrés
        zone urbaine, ville, bâtiments, village, maisons, zone bâtie, zone industrielle
        sol nu, désert, sable, roche, dunes, terre sans végétation
        neige et glace, neige, glace, glacier, montagnes enneigées
        zone inondée, inondation, champs inondés, crue, rivière en crue, village inondé, eaux de crue
        dégâts du séisme, tremblement de terre, bâtiments effondrés, décombres, maisons détruites par le séisme
        zone brûlée, incendie de forêt, forêt brûlée, feu de forêt, terrain brûlé, cendres, végétation calcinée"""),
    "pt": _table("""
        água, lago, rio, mar, albufeira, lagoa, corpo de água
        árvores, floresta, mata, pinhal, floresta densa, bosque
        relva, pastagem, prado, capim, campo de erva
        zona húmida, pântano, mangal, vegetação inundada, brejo, manguezal
        culturas, campos agrícolas, terras agrícolas, trigo, milho, campos lavrados, lavoura, vinhas
        mato, arbustos, matagal, cerrado, arbustos secos
        área urbana, cidade, edifícios, aldeia, casas, área construída, zona industrial
        solo nu, deserto, areia, rocha, dunas, terra sem vegetação
        neve e gelo, neve, gelo, geleira, montanhas com neve
        área inundada, inundação, campos inundados, cheia, enchente, rio transbordado, zona alagada
        danos de terremoto, terremoto, sismo, edifícios desabados, escombros, casas destruídas pelo sismo
        área queimada, área ardida, incêndio florestal, floresta queimada, cicatriz de queimada, queimada, cinzas"""),
    "it": _table("""
        acqua, lago, fiume, mare, bacino, laguna, specchio d'acqua
        alberi, foresta, bosco, pineta, foresta densa, bosco sano
        erba, prateria, pascolo, prato, prato verde
        zona umida, palude, mangrovie, vegetazione allagata, torbiera, acquitrino
        coltivazioni, campi coltivati, terreni agricoli, grano, mais, campi arati, vigneti, stoppie
        arbusti, macchia mediterranea, cespugli, arbusteto, brughiera
        area urbana, città, edifici, paese, case, area edificata, zona industriale
        suolo nudo, deserto, sabbia, roccia, dune, terreno senza vegetazione
        neve e ghiaccio, neve, ghiaccio, ghiacciaio, montagne innevate
        area allagata, alluvione, campi allagati, inondazione, fiume esondato, paese allagato, esondazione
        danni da terremoto, terremoto, edifici crollati, macerie, case distrutte dal sisma
        area bruciata, incendio boschivo, bosco bruciato, area percorsa dal fuoco, terreno bruciato, cenere"""),
    "de": _table("""
        Wasser, See, Fluss, Meer, Stausee, Teich, Gewässer, offenes Wasser
        Bäume, Wald, Nadelwald, Laubwald, Forst, dichter Wald, gesunder Wald
        Gras, Grasland, Wiese, Weide, grüne Wiese, Weideland
        Feuchtgebiet, Sumpf, Moor, Mangroven, überflutete Vegetation, Schilf
        Feldfrüchte, Äcker, Ackerland, Weizen, Mais, gepflügte Felder, Landwirtschaft, Stoppelfelder
        Gebüsch, Sträucher, Buschland, Heide, niedrige Büsche
        Siedlung, Stadt, Gebäude, Dorf, Häuser, bebaute Fläche, Industriegebiet
        nackter Boden, Wüste, Sand, Fels, Dünen, Boden ohne Vegetation
        Schnee und Eis, Schnee, Eis, Gletscher, verschneite Berge
        überflutetes Gebiet, Überschwemmung, überschwemmte Felder, Hochwasser, Flut, überflutetes Dorf
        Erdbebenschäden, Erdbeben, eingestürzte Gebäude, Trümmer, vom Erdbeben zerstörte Häuser
        verbrannte Fläche, Waldbrand, verbrannter Wald, Brandfläche, Brandnarbe, Asche, vom Feuer zerstörter Wald"""),
    "nl": _table("""
        water, meer, rivier, zee, stuwmeer, plas, open water
        bomen, bos, naaldbos, loofbos, dicht bos, gezond bos
        gras, grasland, weide, groene weide, weiland
        moeras, veen, mangroven, overstroomde vegetatie, rietland, drasland
        gewassen, akkers, landbouwgrond, tarwe, mais, geploegde velden, bouwland
        struiken, struikgewas, heide, kreupelhout, lage struiken
        bebouwing, stad, gebouwen, dorp, huizen, bebouwd gebied, industrieterrein
        kale grond, woestijn, zand, rots, duinen, grond zonder vegetatie
        sneeuw en ijs, sneeuw, ijs, gletsjer, besneeuwde bergen
        overstroomd gebied, overstroming, overstroomde velden, hoogwater, ondergelopen land, overstroomd dorp
        aardbevingsschade, aardbeving, ingestorte gebouwen, puin, door de aardbeving verwoeste huizen
        verbrand gebied, bosbrand, verbrand bos, natuurbrand, verbrande grond, door brand verwoest bos"""),
    "id": _table("""
        danau, sungai, laut, waduk, perairan
        pohon, hutan, hutan lebat, pepohonan, hutan pinus
        rumput, padang rumput, padang penggembalaan, rumput hijau
        lahan basah, rawa, hutan bakau, vegetasi tergenang, rawa gambut
        tanaman pertanian, ladang, lahan pertanian, sawah kering, jagung, gandum
        semak, semak belukar, semak kering, belukar
        kawasan terbangun, kota, bangunan, desa, rumah, permukiman, kawasan industri
        tanah gundul, gurun, pasir, batu, bukit pasir, lahan kosong
        salju dan es, salju, gletser, gunung bersalju
        daerah banjir, banjir, sawah terendam, lahan tergenang, air banjir, desa terendam banjir
        kerusakan gempa bumi, gempa bumi, bangunan runtuh, puing, rumah hancur akibat gempa
        area terbakar, kebakaran hutan, hutan terbakar, bekas kebakaran, lahan terbakar, abu"""),
    "tr": _table("""
        göl, nehir, deniz, baraj gölü, su kütlesi
        ağaçlar, orman, çam ormanı, sık orman, ağaçlık
        çimen, otlak, çayır, mera, yeşil çayır
        sulak alan, bataklık, mangrov, su basmış bitki örtüsü, sazlık
        ekinler, tarlalar, tarım arazisi, buğday, mısır, sürülmüş tarla
        çalılık, çalılar, maki, kuru çalılar
        yapılaşmış alan, şehir, binalar, köy, evler, yerleşim alanı, sanayi bölgesi
        çıplak toprak, çöl, kum, kaya, kumullar
        kar ve buz, buz, buzul, karlı dağlar
        su basmış alan, su altında kalan tarlalar, taşkın, taşan nehir, sel suları
        deprem hasarı, deprem, yıkılan binalar, enkaz, depremde yıkılan evler
        yanmış alan, orman yangını, yanmış orman, yangın izi, yanık arazi, kül"""),
}
"""Language (ISO 639-1), label, phrases that training sees. A phrase is one of its own label in every language."""

FOREIGN_HELD_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "es": _table("""
        aguas del lago, río ancho
        bosques de pinos, árboles altos
        praderas verdes, pastos para el ganado
        zona pantanosa, los manglares
        tierra cultivada, maizales
        matorrales secos, zona de arbustos
        casas y calles, zona residencial
        dunas de arena, terreno rocoso
        campo cubierto de nieve, hielo del glaciar
        campos anegados, inundaciones en Valencia, calles inundadas
        edificios colapsados, casas derrumbadas por el terremoto
        bosque calcinado, incendios forestales en Galicia, terreno quemado"""),
    "fr": _table("""
        eaux du lac, large rivière
        forêt de pins, grands arbres
        prairies vertes, pâturages
        zone marécageuse, les mangroves
        terres cultivées, champs de maïs
        zone de broussailles, arbustes secs
        maisons et rues, quartier résidentiel
        dunes de sable, terrain rocheux
        champ couvert de neige, glace du glacier
        champs submergés, inondations en Bretagne, rues inondées
        immeubles effondrés, maisons écroulées après le tremblement de terre
        forêt calcinée, incendies de forêt en Gironde, terres brûlées"""),
    "pt": _table("""
        águas do lago, rio largo
        floresta de pinheiros, árvores altas
        pastagens verdes, prados
        zona pantanosa, manguezais
        terra cultivada, campos de milho
        matos secos, zona de arbustos
        casas e ruas, bairro residencial
        dunas de areia, terreno rochoso
        campo coberto de neve, gelo do glaciar
        campos alagados, inundações no Rio Grande do Sul, ruas inundadas
        prédios desabados, casas destruídas pelo terremoto
        floresta carbonizada, incêndios florestais em Portugal, terreno queimado"""),
    "it": _table("""
        acque del lago, fiume largo
        bosco di pini, alberi alti
        prati verdi, pascoli
        zona paludosa, palude con mangrovie
        terra coltivata, campi di mais
        arbusti secchi, zona di cespugli
        case e strade, quartiere residenziale
        dune di sabbia, terreno roccioso
        campo coperto di neve, ghiaccio del ghiacciaio
        campi sommersi, alluvioni in Emilia, strade allagate
        palazzi crollati, case crollate per il terremoto
        bosco carbonizzato, incendi boschivi in Sardegna, terra bruciata"""),
    "de": _table("""
        das Wasser des Sees, breiter Fluss
        Kiefernwald, hohe Bäume
        grüne Wiesen, Weiden
        sumpfiges Gebiet, Mangrovensumpf
        bebautes Ackerland, Maisfelder
        trockene Sträucher, Buschwerk
        Häuser und Straßen, Wohngebiet
        Sanddünen, felsiges Gelände
        schneebedecktes Feld, Gletschereis
        überflutete Felder, Überschwemmungen im Ahrtal, überflutete Straßen
        zerstörte Gebäude nach dem Erdbeben, eingestürzte Häuser
        verkohlter Wald, Waldbrände in Brandenburg, verbrannter Boden"""),
    "nl": _table("""
        water van het meer, brede rivier
        dennenbos, hoge bomen
        groene weiden, graslanden
        moerassig gebied, mangrovemoeras
        bebouwde akkers, maisvelden
        droge struiken, struweel
        huizen en straten, woonwijk
        zandduinen, rotsachtig terrein
        besneeuwd veld, gletsjerijs
        ondergelopen velden, overstromingen in Limburg, overstroomde straten
        ingestorte huizen, verwoeste gebouwen na de aardbeving
        verkoold bos, bosbranden in Spanje, verbrande heide"""),
    "id": _table("""
        air danau, sungai lebar
        hutan pinus lebat, pohon tinggi
        padang rumput hijau, rerumputan
        daerah rawa, hutan bakau lebat
        lahan pertanian jagung, ladang gandum
        semak-semak kering, daerah semak
        rumah dan jalan, kawasan permukiman
        bukit pasir gurun, tanah berbatu
        ladang tertutup salju, es gletser
        sawah terendam banjir, banjir di Jakarta, jalan terendam
        gedung runtuh, rumah runtuh akibat gempa bumi
        hutan hangus, kebakaran hutan di Kalimantan, tanah terbakar"""),
    "tr": _table("""
        göl suyu, geniş nehir
        çam ağaçları, yüksek ağaçlar
        yeşil otlaklar, çayırlar
        bataklık bölge, mangrov bataklığı
        ekili arazi, mısır tarlaları
        kuru çalılık, çalılık bölge
        evler ve sokaklar, konut bölgesi
        kum tepeleri, kayalık arazi
        karla kaplı tarla, buzul buzu
        sel basmış tarlalar, seller, su altında kalan sokaklar
        çöken binalar, depremde çöken evler
        kömürleşmiş orman, orman yangınları, yanmış arazi"""),
}
"""Likewise, never trained on."""

FOREIGN_FRAMES: dict[str, tuple[str, ...]] = {
    "es": ("{}", "imagen de satélite de {}", "buscar {}"),
    "fr": ("{}", "image satellite de {}", "chercher {}"),
    "pt": ("{}", "imagem de satélite de {}", "procurar {}"),
    "it": ("{}", "immagine satellitare di {}", "cercare {}"),
    "de": ("{}", "Satellitenbild: {}", "suche {}"),
    "nl": ("{}", "satellietbeeld van {}", "zoek {}"),
    "id": ("{}", "citra satelit {}", "cari {}"),
    "tr": ("{}", "uydu görüntüsü: {}", "{} ara"),
}
"""Sentence frames of each language."""
